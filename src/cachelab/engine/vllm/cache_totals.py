"""The totals of vLLM's prefix cache over all steps of a run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm.v1.metrics.stats import SchedulerStats


@dataclass
class CacheTotals:
    """Tokens queried and hit, as vLLM counts them: at prefills, after preemptions, and in the host tier."""

    queries: int = 0
    hits: int = 0
    preempted_queries: int = 0
    preempted_hits: int = 0
    host_queries: int = 0
    host_hits: int = 0

    def add(self, stats: "SchedulerStats") -> None:
        """Add the counts of one step."""
        local, host = stats.prefix_cache_stats, stats.connector_prefix_cache_stats
        if not (local.requests or local.preempted_requests or host):
            return  # no request was looked up in this step
        self.queries += local.queries
        self.hits += local.hits
        self.preempted_queries += local.preempted_queries
        self.preempted_hits += local.preempted_hits
        self.host_queries += host.queries if host else 0
        self.host_hits += host.hits if host else 0
