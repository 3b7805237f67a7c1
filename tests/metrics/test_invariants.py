"""What holds for every run, whatever the prompts and whatever the cache found."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.metrics.base import AnyMetric, measure
from cachelab.metrics.blocks import block_table
from cachelab.metrics.ideal import ideal_hit_blocks
from cachelab.metrics.observation import Observation
from cachelab.metrics.requests import request_table
from cachelab.metrics.turn import turn_table

Pairs = st.lists(
    st.tuples(
        st.lists(st.integers(0, 1), min_size=1, max_size=14), st.lists(st.integers(0, 1), min_size=1, max_size=6)
    ),
    min_size=1,
    max_size=10,
)


def _possible_run(observe: Any, pairs: list[tuple[list[int], list[int]]], data: st.DataObject) -> Observation:
    """A run in which each request hit some of what an unlimited cache would have held, as under evictions."""
    prompts, replies = [prompt for prompt, _ in pairs], [reply for _, reply in pairs]
    turns = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    ceiling = ideal_hit_blocks(observe(prompts, None, replies, block_size=2))
    hits = [data.draw(st.integers(0, most)) for most in ceiling.tolist()]
    return observe(prompts, hits, replies, block_size=2, turns=turns)  # type: ignore[no-any-return]


@given(Pairs, st.data())
def test_metrics_of_any_run(
    observe: Any, default_metrics: tuple[AnyMetric, ...], pairs: list[tuple[list[int], list[int]]], data: st.DataObject
) -> None:
    observation = _possible_run(observe, pairs, data)
    numbers = measure(default_metrics, observation)
    values = numbers.values
    rates = [value for name, value in values.items() if name.startswith("hit_rate/")]
    assert all(0 <= rate <= 1 for rate in [*rates, *numbers.series.get("turn/hit_rate", {}).values()])

    requests = request_table(observation)
    not_hit = sum(full - hit for full, hit in zip(requests["full_blocks"], requests["hit_blocks"], strict=True))
    assert values["blocks/hit"] + not_hit == values["blocks/total"]
    assert values["blocks/hit"] <= sum(requests["ideal_hit_blocks"])

    assert values["blocks/reuses"] == values["blocks/hit"] - values["blocks/reused_distinct"]
    if values["blocks/hit"]:
        product = values["blocks/hits_per_block_mean"] * values["blocks/reused_distinct"]
        assert product == pytest.approx(values["blocks/hit"])
    assert ("reuse_gap/mean_requests" in values) == (values["blocks/reuses"] > 0)

    blocks, turns = block_table(observation), turn_table(observation)
    assert (len(blocks["block"]), sum(blocks["hits"])) == (values["blocks/reused_distinct"], values["blocks/hit"])
    assert (sum(turns["hit_blocks"]), sum(turns["prompt_blocks"])) == (values["blocks/hit"], values["blocks/total"])


@given(Pairs, st.data(), st.randoms(use_true_random=False))
def test_metrics_of_permuted_records(
    observe: Any,
    default_metrics: tuple[AnyMetric, ...],
    pairs: list[tuple[list[int], list[int]]],
    data: st.DataObject,
    rng: random.Random,
) -> None:
    observation = _possible_run(observe, pairs, data)
    records = list(observation.records)
    rng.shuffle(records)
    permuted = replace(observation, records=records)
    assert measure(default_metrics, permuted) == measure(default_metrics, observation)
    tables = [{name: list(column) for name, column in block_table(one).items()} for one in (permuted, observation)]
    assert tables[0] == tables[1]
    assert turn_table(permuted) == turn_table(observation)


@given(Pairs, st.data())
def test_reuse_gaps_against_a_walk(
    observe: Any, default_metrics: tuple[AnyMetric, ...], pairs: list[tuple[list[int], list[int]]], data: st.DataObject
) -> None:
    observation = _possible_run(observe, pairs, data)
    last_hit: dict[tuple[int, ...], int] = {}
    gaps = []
    for index, (record, (prompt, _)) in enumerate(zip(observation.completed, pairs, strict=True)):
        for end in range(2, record.cached_tokens + 1, 2):
            block = tuple(prompt[:end])
            if block in last_hit:
                gaps.append(index - last_hit[block])
            last_hit[block] = index
    values = measure(default_metrics, observation).values
    statistics = ("mean", "min", "max", "p95")
    found = [values.get(f"reuse_gap/{statistic}_requests") for statistic in statistics]
    if not gaps:
        assert found == [None] * 4
        return
    rank = 0.95 * (len(gaps) - 1)
    below, above = sorted(gaps)[int(rank)], sorted(gaps)[min(int(rank) + 1, len(gaps) - 1)]
    p95 = below + (rank - int(rank)) * (above - below)
    assert found == pytest.approx([sum(gaps) / len(gaps), min(gaps), max(gaps), p95])
    # The fixture prefills one request a second.
    assert values["reuse_gap/mean_s"] == pytest.approx(values["reuse_gap/mean_requests"])
