"""The replicas of a fleet: a line for the head of the summary, and a table."""

from cachelab.fleet.base import Placement
from cachelab.metrics.base import Ratio
from cachelab.metrics.fleet import imbalance, replica_table
from cachelab.metrics.observation import Observation
from cachelab.pipeline import Result
from cachelab.report.middle_row import one_middle
from cachelab.report.section import Section, count, decimal, percent

_MOST_RATES = 8
_COLUMNS = ("replica", "requests", "hit blocks", "full blocks", "hit rate", "computed tokens")


def fleet_line(result: Result) -> str | None:
    """The hit rate of each replica, the imbalance and the duplicate blocks; None if there are not several replicas.

    Of more than eight replicas it has the lowest and the highest hit rate.
    """
    placement = _of_several(result.observation)
    if placement is None:
        return None
    table = replica_table(result.observation)
    rates = [Ratio(hit, total).value for hit, total in zip(table["hit_blocks"], table["prompt_blocks"], strict=True)]
    hits = ", ".join(map(percent, rates))
    if len(rates) > _MOST_RATES:
        known = [rate for rate in rates if rate is not None]
        hits = f"{percent(min(known, default=None))} to {percent(max(known, default=None))}"
    return f"{count(len(rates))} replicas hit {hits}; {_balance(result.observation, placement)}"


def replicas(observation: Observation, most: int) -> Section:
    """One row per replica, in at most `most` rows: those in the middle share one. No rows without several replicas."""
    placement = _of_several(observation)
    if placement is None:
        return Section("Replicas", _COLUMNS, [])
    table = replica_table(observation)
    names = ("replica", "requests", "hit_blocks", "prompt_blocks", "computed_tokens")
    cells = zip(*(table[name].tolist() for name in names), strict=True)
    rows = [
        (label, count(requests), count(hit), count(total), percent(Ratio(hit, total).value), count(computed))
        for label, (requests, hit, total, computed) in one_middle([(first, rest) for first, *rest in cells], most)
    ]
    note = (
        f"{_balance(observation, placement)}. Computed: prompt tokens that were in no cache, and reply tokens. "
        "Imbalance: the maximum / the mean of the computed tokens."
    )
    return Section("Replicas", _COLUMNS, rows, note)


def _of_several(observation: Observation) -> Placement | None:
    placement = observation.placement
    return None if placement is None or placement.num_replicas < 2 else placement


def _balance(observation: Observation, placement: Placement) -> str:
    duplicates = Ratio(placement.duplicate_blocks, placement.held_blocks).value
    return (
        f"imbalance {decimal(imbalance(observation).value)}; "
        f"{percent(duplicates)} of the different cached blocks are in several caches"
    )
