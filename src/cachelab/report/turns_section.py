"""The table of the turns: the hit rate of each turn index."""

from cachelab.metrics.base import Ratio
from cachelab.metrics.observation import Observation, if_measured
from cachelab.metrics.turn import turn_table
from cachelab.report.section import Section, count, percent

Cells = tuple[int, int, int, int]
"""Turn index, requests, hit blocks, prompt blocks."""


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
    cells = list(zip(*(table[name] for name in names), strict=True))
    head, middle, tail = _without_middle(cells, max_turns)
    rows = [_row(cell) for cell in head]
    if middle:
        requests, hit, total = (sum(cell[column] for cell in middle) for column in (1, 2, 3))
        rows.append((f"{middle[0][0]}..{middle[-1][0]}", requests, hit, total))
    return [*rows, *map(_row, tail)]


def _row(cell: Cells) -> Row:
    turn, requests, hit, total = cell
    return str(turn), requests, hit, total


def _without_middle(cells: list[Cells], most: int) -> tuple[list[Cells], list[Cells], list[Cells]]:
    """The first rows, those that share one row, and the last rows, so that `most` rows are shown."""
    if len(cells) <= most:
        return cells, [], []
    last = (most - 1) // 3
    first = most - 1 - last
    return cells[:first], cells[first : len(cells) - last], cells[len(cells) - last :]
