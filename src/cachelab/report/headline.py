"""The lines at the head of every report of a run."""

from cachelab.metrics.hit_rate import RATIOS
from cachelab.metrics.logged import logged_rates
from cachelab.metrics.observation import if_measured
from cachelab.pipeline import Result
from cachelab.report.fleet_section import fleet_line
from cachelab.report.section import count, percent, sums


def headline(result: Result) -> str:
    """The run's hit rate in one line."""
    ratio = if_measured(RATIOS["hit_rate/first_prefill"], result.observation)
    if ratio is None:
        return "first-prefill block hit rate - (the server does not say what was cached)"
    # The rules of block traces count the partial last block of a prompt too.
    kind = "listed" if result.observation.counters.rules == "trace" else "full"
    if ratio.value is None:
        return f"first-prefill block hit rate - (no completed request has a {kind} block)"
    return f"first-prefill block hit rate {percent(ratio.value)} ({sums(ratio)} {kind} prompt blocks)"


def context(result: Result) -> str:
    """The context of the headline: how many requests completed, and the hit rate of an unlimited cache."""
    ended = f"{count(len(result.observation.completed))} of {count(len(result.observation.records))} requests completed"
    ceiling = result.numbers.values.get("hit_rate/ideal")
    return ended if ceiling is None else f"{ended}; an unlimited cache would hit {percent(ceiling)}"


def further_lines(result: Result) -> list[str]:
    """What only some runs say after the context: the replicas of a fleet, and the hit rate that the log states."""
    return [line for line in (fleet_line(result), logged_line(result)) if line is not None]


def logged_line(result: Result) -> str | None:
    """The hit rate that the log states, next to this run and to an unlimited cache; None where the log has none."""
    rates = logged_rates(result.observation)
    if rates is None:
        return None
    logged, run, ideal = (percent(rate.value) for rate in rates)
    return (
        f"the log says {logged}; this run {run}; an unlimited cache {ideal} (in tokens, the requests with logged usage)"
    )
