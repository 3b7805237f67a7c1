"""The guide's simple check (its step 3): one conversation of three turns."""

from typing import Any

from cachelab.metrics.base import AnyMetric, measure
from cachelab.metrics.turn import turn_table


def test_turn_table_guides_simple_check(observe: Any, default_metrics: tuple[AnyMetric, ...]) -> None:
    # Block size 8: prompts of 3, 5 and 7 full blocks, of which 0, 2 and 4 are hit: 0/3, 2/5, 4/7, all in all 6/15.
    prompts = [range(3 * 8), range(5 * 8), range(7 * 8 + 1)]
    observation = observe(prompts, [0, 2, 4], block_size=8, turns=[0, 1, 2])
    table = turn_table(observation)
    assert table["prompt_blocks"] == [3, 5, 7]
    assert table["hit_blocks"] == [0, 2, 4]
    assert table["hit_rate"] == [0.0, 0.4, 4 / 7]
    numbers = measure(default_metrics, observation)
    assert numbers.series["turn/hit_rate"] == {0: 0.0, 1: 0.4, 2: 4 / 7}
    assert numbers.values["hit_rate/first_prefill"] == 6 / 15
    assert (numbers.values["requests/submitted"], numbers.values["blocks/total"]) == (3, 15)
    # An unlimited cache would hit all that the turn before left: 3 blocks, then 5.
    assert numbers.values["hit_rate/ideal"] == 8 / 15


def test_turn_hit_rate_no_full_block(observe: Any, default_metrics: tuple[AnyMetric, ...]) -> None:
    observation = observe([[1, 2], [1, 2, 3, 4]], turns=[0, 1])
    assert turn_table(observation)["hit_rate"] == [None, 0.0]
    series = measure(default_metrics, observation).series
    assert series["turn/hit_rate"] == {1: 0.0}
    assert series["turn/requests"] == {0: 1.0, 1: 1.0}
