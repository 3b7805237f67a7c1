"""The hit rate by minute of the engine's clock."""

from dataclasses import replace
from typing import Any

from cachelab.metrics.base import AnyMetric, measure
from cachelab.metrics.minute import minute_table

MINUTE = 60 * 10**9


def test_minutes_count_from_the_first_submission(observe: Any, default_metrics: tuple[AnyMetric, ...]) -> None:
    # Block size 8; 0/3, 2/5 and 4/7 blocks, first scheduled 59 s, 1 min and 3 min 59 s after the first submission.
    observation = observe([range(24), range(40), range(57)], [0, 2, 4], block_size=8, turns=[0, 1, 2])
    times = [7 * MINUTE + seconds * 10**9 for seconds in (59, 60, 239)]
    records = [
        replace(record, submitted_ns=7 * MINUTE, first_scheduled_ns=time, first_token_ns=time, finished_ns=time)
        for record, time in zip(observation.records, times, strict=True)
    ]
    observation = replace(observation, records=records)
    table = {name: column.tolist() for name, column in minute_table(observation).items()}
    assert table == {"minute": [0, 1, 3], "requests": [1, 1, 1], "prompt_blocks": [3, 5, 7], "hit_blocks": [0, 2, 4]}
    series = measure(default_metrics, observation).series
    assert series["minute/hit_rate"] == {0: 0.0, 1: 2 / 5, 3: 4 / 7}
    assert series["minute/requests"] == {0: 1.0, 1: 1.0, 3: 1.0}
