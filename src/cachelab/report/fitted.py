"""A table in the width that there is: a number stands whole, or its column is left out and named. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cachelab.report.section import Section

_WHOLE_WORDS = 20  # letters: longer words are broken before a column of numbers is left out
_NARROW_HEAD = 8  # letters: a column's name is broken as narrow as this before a column is left out
_NUMBER = re.compile(r"[-+#(]?[\d.,:]*\d[\w.,:%)]*")


@dataclass(frozen=True, slots=True)
class Fitted:
    """The columns that are shown, by index, with the letters that each gets; `left_out` are the others' names."""

    columns: Sequence[int]
    widths: Sequence[int]
    left_out: Sequence[str]


def fitted(section: Section, width: int, gap: int) -> Fitted:
    """As many columns as fit, the last of the numbers left out first; the first column always stays.

    `gap` is the number of blanks between two columns.
    """
    columns = list(range(len(section.columns)))
    natural = [max(map(len, _cells(section, index))) for index in columns]
    least = [min(natural[index], _least(section, index)) for index in columns]
    shown = list(columns)
    while len(shown) > 1 and _total([least[index] for index in shown], gap) > width:
        numbers = [index for index in shown[1:] if index not in section.left]
        shown.remove((numbers or shown)[-1])
    widths = [natural[index] for index in shown]
    floors = [least[index] for index in shown]
    # Words give way first, the widest of them most; then the names of the columns of numbers.
    for words in (True, False):
        while _total(widths, gap) > width:
            spare = [
                (widths[place] - floors[place], place)
                for place, index in enumerate(shown)
                if (index in section.left) is words and widths[place] > floors[place]
            ]
            if not spare:
                break
            widest = max(widths[place] for _, place in spare)
            widths[next(place for _, place in spare if widths[place] == widest)] -= 1
    if _total(widths, gap) > width:  # one column only, of words that have to be broken
        widths = [width]
    left_out = [section.columns[index] or f"column {index + 1}" for index in columns if index not in shown]
    return Fitted(shown, widths, left_out)


def _least(section: Section, index: int) -> int:
    """The letters that a column needs: numbers whole, long words broken."""
    if index not in section.left:
        head = min(len(section.columns[index]), _NARROW_HEAD)
        return max([head, *(len(row[index]) for row in section.rows)])
    words = [word for cell in _cells(section, index) for word in cell.split()]
    numbers = [len(word) for word in words if _NUMBER.fullmatch(word)]
    return max([*numbers, *(min(len(word), _WHOLE_WORDS) for word in words), 1])


def _cells(section: Section, index: int) -> list[str]:
    return [section.columns[index], *(row[index] for row in section.rows)]


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)
