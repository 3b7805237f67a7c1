"""The table of the turns: the hit rate of each turn index."""

from cachelab.metrics.base import Ratio
from cachelab.metrics.observation import Observation, if_measured
from cachelab.metrics.turn import turn_table
from cachelab.report.middle_row import one_middle
from cachelab.report.section import Section, count, percent

Row = tuple[str, int, int, int]
"""Turn index or range of them, requests, hit blocks, prompt blocks."""


def turns(observation: Observation, max_turns: int) -> Section:
    """The hit rate of each turn, in at most `max_turns` rows: those in the middle share one row."""
    rows = [
        (label, count(requests), count(hit), count(total), percent(Ratio(hit, total).value))
        for label, requests, hit, total in turn_rows(observation, max_turns)
    ]
    return Section("Turns", ("turn", "requests", "hit blocks", "full blocks", "hit rate"), rows)


def turn_rows(observation: Observation, max_turns: int) -> list[Row]:
    """The numbers of the same rows; none if the hits were not measured."""
    table = if_measured(turn_table, observation)
    if table is None:
        return []
    names = ("turn_index", "requests", "hit_blocks", "prompt_blocks")
    cells = zip(*(table[name] for name in names), strict=True)
    found = one_middle([(turn, numbers) for turn, *numbers in cells], max_turns)
    return [(label, requests, hit, total) for label, (requests, hit, total) in found]
