"""The comparison of two arms, worked by hand and held to what it promises."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.sweep.comparison import HEADLINE, Comparison, Difference, Drawn, arm_of, compare, interval

Table = dict[str, list[Any]]


def table(rows: list[tuple[str, int, int, int, int, int]]) -> Table:
    """Rows of (conversation, prompt tokens, cached tokens, full blocks, hit blocks, ideal hit blocks)."""
    names = ("conversation_id", "prompt_tokens", "cached_tokens", "full_blocks", "hit_blocks", "ideal_hit_blocks")
    columns: Table = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    ids = columns["conversation_id"]
    columns["turn_index"] = [ids[:row].count(name) for row, name in enumerate(ids)]
    host = {"host_hit_blocks": [0] * len(rows)}
    return columns | host | {"outcome": ["completed"] * len(rows), "prefill_index": list(range(len(rows)))}


def arms(rng: np.random.Generator, num: int, effect: int) -> tuple[Table, Table]:
    """Conversations of 10 full blocks each, of which arm one hits `effect` more than arm two, which hits 2 to 5."""
    hits = rng.integers(2, 6, size=num)
    one, two = (
        [(f"c{i}", 80, 8 * int(h), 10, int(h), 10) for i, h in enumerate(found)] for found in (hits + effect, hits)
    )
    return table(one), table(two)


def test_arm_of_sums_completed_requests_by_conversation() -> None:
    columns = table([("b", 20, 8, 2, 1, 1), ("a", 10, 0, 1, 0, 0), ("b", 30, 16, 3, 2, 2)])
    columns["host_hit_blocks"] = [1, 0, 0]
    columns["outcome"][1] = "rejected"
    for name in ("full_blocks", "hit_blocks", "host_hit_blocks", "ideal_hit_blocks", "prefill_index"):
        columns[name][1] = None
    arm = arm_of("x", columns)
    assert arm.conversations == ["b"]
    assert {name: sums.tolist() for name, sums in arm.columns.items()} == {
        "prompt_tokens": [50.0],
        "cached_tokens": [24.0],
        "full_blocks": [5.0],
        "hit_blocks": [3.0],
        "host_hit_blocks": [1.0],
        "ideal_hit_blocks": [3.0],
        "all_tiers_blocks": [4.0],
        "requests": [2.0],
        "cached_share": [8 / 20 + 16 / 30],
        # the last 50 % of two requests: the one with prefill index 2
        "steady_cached_tokens": [16.0],
        "steady_prompt_tokens": [30.0],
        "later_cached_tokens": [16.0],
        "later_prompt_tokens": [30.0],
    }


def test_the_verdict_is_about_the_wanted_rate() -> None:
    # in blocks both arms hit the same share, in tokens the first one hits more; the blocks have different sizes
    tables = [table([(f"c{i}", 100, cached, blocks, 1, 1) for i in range(30)]) for cached, blocks in ((64, 1), (16, 1))]
    found = compare(arm_of("one", tables[0]), arm_of("two", tables[1]), metric="hit_rate/first_prefill_tokens")
    assert found.verdict.startswith("one is higher than two: +48.00 points of first_prefill_tokens (")
    assert replace(found, metric=HEADLINE).verdict.startswith("no difference shown between one and two: +0.00 points (")


def test_compare_differences_by_hand() -> None:
    one = arm_of("one", table([("a", 20, 8, 2, 1, 2), ("b", 20, 16, 2, 2, 2)]))
    two = arm_of("two", table([("a", 20, 0, 2, 0, 1), ("b", 20, 8, 2, 1, 1)]))
    found = compare(one, two).differences
    assert (found[HEADLINE].arm, found[HEADLINE].baseline) == (3 / 4, 1 / 4)
    assert found[HEADLINE].difference == 0.5
    assert found[HEADLINE].ratio == 3
    assert found["hit_rate/first_prefill_tokens"].difference == pytest.approx(24 / 40 - 8 / 40)
    assert found["hit_rate/ideal"].difference == pytest.approx(4 / 4 - 2 / 4)
    assert found["hit_rate/of_ideal"].difference == pytest.approx(3 / 4 - 1 / 2)
    assert found["hit_rate/per_request_mean"].difference == pytest.approx((0.4 + 0.8) / 2 - (0 + 0.4) / 2)
    # every draw of the two conversations differs by 1 block of 2: the interval has no width
    assert (found[HEADLINE].low, found[HEADLINE].high) == (0.5, 0.5)


def test_compare_identical_arms_shows_no_difference() -> None:
    one, _ = arms(np.random.default_rng(1), 40, 0)
    found = compare(arm_of("one", one), arm_of("two", one))
    assert found.differences[HEADLINE].verdict == "no difference shown"
    assert found.verdict.startswith("no difference shown between one and two: +0.00 points")


def test_compare_noise_of_the_same_law_shows_no_difference() -> None:
    one, _ = arms(np.random.default_rng(1), 200, 0)
    other, _ = arms(np.random.default_rng(2), 200, 0)
    found = compare(arm_of("one", one), arm_of("two", other)).differences[HEADLINE]
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high


@pytest.mark.parametrize(("effect", "word"), [(1, "higher"), (-1, "lower")])
def test_compare_finds_a_planted_difference(effect: int, word: str) -> None:
    one, two = arms(np.random.default_rng(1), 40, effect)
    found = compare(arm_of("one", one), arm_of("two", two))
    assert found.differences[HEADLINE].difference == pytest.approx(effect / 10)
    assert found.verdict.startswith(f"one is {word} than two: {10 * effect:+.2f} points")


def test_compare_pairs_what_both_arms_have() -> None:
    one = arm_of("one", table([("a", 20, 8, 2, 1, 1), ("b", 20, 8, 2, 1, 1), ("c", 20, 8, 2, 2, 2)]))
    two = arm_of("two", table([("d", 20, 8, 2, 2, 2), ("b", 20, 8, 2, 0, 1), ("a", 20, 8, 2, 1, 1)]))
    found = compare(one, two)
    assert (found.num_conversations, found.only_in_arm, found.only_in_baseline) == (2, 1, 1)
    assert (found.differences[HEADLINE].arm, found.differences[HEADLINE].baseline) == (0.5, 0.25)


def test_compare_nothing_in_common_has_no_verdict() -> None:
    found = compare(arm_of("one", table([("a", 8, 0, 1, 0, 0)])), arm_of("two", table([("b", 8, 0, 1, 0, 0)])))
    assert found.differences == {}
    assert "no conversation in common" in found.verdict


def test_compare_one_conversation_has_no_interval() -> None:
    one = arm_of("one", table([("a", 20, 8, 2, 1, 1)]))
    found = compare(one, one)
    assert found.differences[HEADLINE].verdict == "no interval"
    assert found.verdict.startswith("no verdict")


def test_compare_empty_denominator_is_absent() -> None:
    one = arm_of("one", table([("a", 5, 0, 0, 0, 0), ("b", 5, 0, 0, 0, 0)]))
    found = compare(one, one)
    assert HEADLINE not in found.differences
    assert "hit_rate/first_prefill_tokens" in found.differences


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    # 200 experiments with a true difference of 0.1: a 95 % interval misses about 10 of them
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        full = rng.integers(5, 20, size=60).astype(float)
        one, two = (rng.binomial(full.astype(int), p).astype(float) for p in (0.5, 0.4))
        low, high = interval((one, full), (two, full), 0)
        covered += low is not None and high is not None and low <= 0.1 <= high
    assert 180 <= covered <= 199


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_interval_is_seeded_and_antisymmetric(seed: int, num: int) -> None:
    rng = np.random.default_rng(seed)
    full = rng.integers(1, 9, size=num).astype(float)
    one, two = (np.floor(full * rng.random(num)) for _ in range(2))
    low, high = interval((one, full), (two, full), seed)
    assert (low, high) == interval((one, full), (two, full), seed)
    assert low is not None
    assert high is not None
    back_low, back_high = interval((two, full), (one, full), seed)
    assert [-low, -high] == pytest.approx([back_high, back_low])


def test_verdict_says_when_conversations_are_few() -> None:
    found = Comparison("one", "two", 5, 0, 0, {HEADLINE: Difference(HEADLINE, 0.5, 0.1, 0.3, 0.5)})
    assert found.verdict == (
        "one is higher than two: +40.00 points "
        "(95 % interval +30.00 to +50.00; 5 conversations, few: the interval is rough)"
    )


def test_compare_of_a_host_tier_is_about_all_tiers() -> None:
    # nothing differs in the engines' own caches; the host gave arm one a block in every conversation
    bare = table([(f"c{i}", 80, 32, 10, 4, 10) for i in range(30)])
    tiered = bare | {"host_hit_blocks": [1] * 30}
    found = compare(arm_of("tiered", tiered), arm_of("bare", bare))
    assert found.differences[HEADLINE].verdict == "no difference shown"
    assert found.verdict == (
        "tiered is higher than bare: +10.00 points (all tiers) (95 % interval +10.00 to +10.00; 30 conversations)"
    )
    assert "all tiers" not in compare(arm_of("bare", bare), arm_of("again", bare)).verdict


def test_equal_sums_differ_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hits, full = np.asarray([3.0, 0.0, 5.0]), np.asarray([4.0, 0.0, 9.0])
    drawn = interval((hits, full), (hits + np.asarray([0.0, 1.0, 0.0]), full), 0)  # a draw as before
    assert drawn != (0.0, 0.0)
    monkeypatch.setattr("scipy.stats.bootstrap", None)
    assert interval((hits, full), (hits.copy(), full.copy()), 0) == (0.0, 0.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_draws_that_are_kept_change_no_interval(seed: int, num: int) -> None:
    rng = np.random.default_rng(seed)
    full = rng.integers(0, 4, size=num).astype(float)  # draws with a zero denominator too
    arms = [(np.floor(full * rng.random(num)), full) for _ in range(3)]
    drawn: Drawn = {}
    for arm in arms:
        for baseline in arms:
            assert interval(arm, baseline, 0, drawn) == interval(arm, baseline, 0)
    assert len(drawn) <= len(arms)
