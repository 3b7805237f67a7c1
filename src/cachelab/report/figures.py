"""The figures of one run. A figure without data is None."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cachelab.metrics.minute import minute_table
from cachelab.metrics.observation import if_measured
from cachelab.metrics.requests import request_table
from cachelab.metrics.reuse import gaps_requests, gaps_s
from cachelab.pipeline import Result
from cachelab.report.capacity_figure import capacity_figure
from cachelab.report.hit_rate_figures import hit_rate_by_minute, hit_rate_by_turn
from cachelab.report.lengths_figure import prompt_lengths
from cachelab.report.losses_figure import losses_figure
from cachelab.report.reuse_figures import hits_per_block, reuse_gaps
from cachelab.report.ttft_figure import ttft_by_cached_tokens

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: Mapping[str, str] = {
    "hit_rate_by_turn": "Block hit rate by turn, measured and with an unlimited cache, and the number of requests",
    "hit_rate_by_minute": "Block hit rate by minute of the engine's clock, and the number of requests",
    "reuse_gaps": "Gaps between two hits of a block, in seconds and in requests",
    "hits_per_block": "Number of blocks by number of hits",
    "prompt_lengths": "Prompt lengths by outcome, and the cached share of their tokens",
    "ttft_by_cached_tokens": "Time to first token by cached prompt tokens: the seconds that hits save",
    "capacity": "Hit rate by cache size: LRU, Belady's optimum, an unlimited cache, the measured points",
    "losses": "Prompt tokens by reason: reused, never seen, lost; in total and by turn",
}
"""The name of each figure, and what it shows."""


def draw(result: Result) -> dict[str, "Figure | None"]:
    """Every figure of FIGURES, by its name; None if it has no data, or if the engine did not measure the hits."""
    observation, clock = result.observation, result.run.counters.clock
    table = request_table(observation)
    if not observation.hits_known:
        return dict.fromkeys(FIGURES)
    return {
        "hit_rate_by_turn": hit_rate_by_turn(table),
        "hit_rate_by_minute": hit_rate_by_minute(minute_table(observation), clock),
        "reuse_gaps": reuse_gaps(gaps_s(observation), gaps_requests(observation), clock),
        "hits_per_block": hits_per_block(observation.hits.per_block),
        "prompt_lengths": prompt_lengths(table),
        "ttft_by_cached_tokens": ttft_by_cached_tokens(table, clock),
        "capacity": if_measured(capacity_figure, result),
        "losses": if_measured(losses_figure, observation),
    }
