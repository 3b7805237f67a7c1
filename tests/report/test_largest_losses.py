"""Losses of the run in conftest.py, whose numbers are worked by hand there."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from cachelab.fleet.base import Placement
from cachelab.metrics.base import Ratio
from cachelab.pipeline import Result
from cachelab.report import largest_losses as module
from cachelab.report.largest_losses import largest_losses


def test_losses_are_ranked_and_zeros_left_out(result: Result) -> None:
    # 45 prompt tokens, 28 cached. A/0: 9 new. The last token of a reply is not computed, so A/1 shares 9 + 4 - 1 = 12
    # tokens with A/0, all in full blocks: 4 new. A/2 shares 16 + 2 - 1 = 17, of which 16 hit: 1 rounded, 3 new.
    found = largest_losses(result)

    assert [(loss.label, loss.share) for loss in found] == [
        ("never seen (compulsory)", Ratio(16, 45)),
        ("block rounding", Ratio(1, 45)),
    ]
    assert found[0].line == "largest loss: never seen (compulsory), 35.56 % of the prompt tokens"
    assert "explain=causes" in found[0].advice
    assert found[1].advice == "smaller blocks: engine.block_size=2"


def test_no_loss_without_a_completed_request(all_rejected: Result) -> None:
    assert largest_losses(all_rejected) == []


@pytest.mark.parametrize(
    ("term", "advice"),
    [
        ("eviction", "engine.num_blocks=51"),
        ("capacity", "engine.num_blocks=51"),
        ("other", "engine.num_blocks=51 or fewer requests at once (engine.max_num_seqs)"),
        ("expired", "a longer engine.policy.ttl_s, or requests that come sooner after one another"),
        ("in_flight", "send requests with the same prefix one after another, or set a smaller engine.max_num_seqs"),
    ],
)
def test_advice_names_the_setting(result: Result, monkeypatch: pytest.MonkeyPatch, term: str, advice: str) -> None:
    lost: Callable[..., Ratio] = lambda observation, name: Ratio(5 if name == term else 0, 45)  # noqa: E731
    monkeypatch.setattr(module, "lost", lost)
    values = {**result.numbers.values, "capacity/knee_blocks": 50.0, "capacity/enough_blocks": 60.0}
    numbers = type(result.numbers)(values, result.numbers.series)
    (loss,) = largest_losses(type(result)(result.workload, result.run, result.observation, numbers))

    assert loss.advice == advice


def test_advice_for_another_policy_names_no_size_of_lru(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "lost", lambda observation, name: Ratio(5 if name == "eviction" else 0, 45))
    values = {**result.numbers.values, "capacity/knee_blocks": 50.0}
    run = replace(result.run, counters=replace(result.run.counters, policy="fifo"))
    (loss,) = largest_losses(replace(result, run=run, numbers=replace(result.numbers, values=values)))

    assert loss.advice == "more blocks (engine.num_blocks), or another engine/policy"


@pytest.mark.parametrize(
    ("term", "advice"),
    [
        (
            "in_flight",
            "send requests with the same prefix one after another, or to one replica: fleet/router=prefix_aware",
        ),
        # 50 blocks of one cache are 17 on each of three replicas; one more block is vLLM's own.
        ("eviction", "engine.num_blocks=18 on each replica"),
        (
            "other",
            "engine.num_blocks=18 on each replica, fewer replicas or fewer requests at once (engine.max_num_seqs)",
        ),
    ],
)
def test_advice_for_a_fleet(result: Result, monkeypatch: pytest.MonkeyPatch, term: str, advice: str) -> None:
    monkeypatch.setattr(module, "lost", lambda observation, name: Ratio(5 if name == term else 0, 45))
    values = {**result.numbers.values, "capacity/knee_blocks": 50.0}
    placement = Placement(3, (0, 1, 2, -1), (0, 0, 0, 0), 0, 0, 0)
    observation = replace(result.observation, placement=placement)
    fleet = replace(result, observation=observation, numbers=replace(result.numbers, values=values))
    (loss,) = largest_losses(fleet)

    assert loss.advice == advice
