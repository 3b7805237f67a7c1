"""Fits a table into a width. Numbers are never cut: a column that does not fit is omitted and named."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cachelab.report.section import Section

_WHOLE_WORDS = 20  # letters: longer words are broken before a column of numbers is left out
_WHOLE_PART = 12  # letters: longer parts of a column's name are broken
_PART = re.compile(r"[^_/. ]+[_/. ]*|[_/. ]+")
_NUMBER = re.compile(r"[-+#(]?[\d.,:]*\d[\w.,:%)]*")


@dataclass(frozen=True, slots=True)
class Fitted:
    """The shown columns by index, the width of each in letters, and the name of each, broken into lines.

    `left_out`: the names of the omitted columns.
    """

    columns: Sequence[int]
    widths: Sequence[int]
    heads: Sequence[str]
    left_out: Sequence[str]


def fitted(section: Section, width: int, gap: int) -> Fitted:
    """Fit as many columns as possible into `width` letters, with `gap` blanks between two columns.

    Columns of numbers are omitted first, from the last one on, then columns of words. The first column is always shown.
    The first column of numbers is omitted last.
    """
    columns = list(range(len(section.columns)))
    natural = [max(map(len, _cells(section, index))) for index in columns]
    least = [min(natural[index], _least(section, index)) for index in columns]
    shown = list(columns)
    while len(shown) > 1 and _total([least[index] for index in shown], gap) > width:
        numbers = [index for index in shown[1:] if index not in section.left]
        words = [index for index in shown[1:] if index in section.left]
        shown.remove((numbers[1:] or words or numbers)[-1])
    widths = [natural[index] for index in shown]
    floors = [least[index] for index in shown]
    # Columns of words become narrower first, the widest one before the others; then the names of number columns.
    for of_words in (True, False):
        while _total(widths, gap) > width:
            spare = [
                (widths[place] - floors[place], place)
                for place, index in enumerate(shown)
                if (index in section.left) is of_words and widths[place] > floors[place]
            ]
            if not spare:
                break
            widest = max(widths[place] for _, place in spare)
            widths[next(place for _, place in spare if widths[place] == widest)] -= 1
    if _total(widths, gap) > width:  # a single column of words, which have to be broken
        widths = [width]
    left_out = [section.columns[index] or f"column {index + 1}" for index in columns if index not in shown]
    heads = [_in_lines(section.columns[index], letters) for index, letters in zip(shown, widths, strict=True)]
    return Fitted(shown, widths, heads, left_out)


def _least(section: Section, index: int) -> int:
    """The smallest width of a column: numbers are not broken, long words are."""
    parts = [min(len(part.strip()), _WHOLE_PART) for part in _PART.findall(section.columns[index])]
    if index not in section.left:
        return max([*parts, *(len(row[index]) for row in section.rows), 1])
    words = [word for row in section.rows for word in row[index].split()]
    numbers = [len(word) for word in words if _NUMBER.fullmatch(word)]
    return max([*parts, *numbers, *(min(len(word), _WHOLE_WORDS) for word in words), 1])


def _in_lines(name: str, width: int) -> str:
    """A column's name, broken after _, /, . or a blank if it does not fit in one line."""
    lines = [""]
    for part in _PART.findall(name):
        if lines[-1] and len(f"{lines[-1]}{part}".rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)


def _cells(section: Section, index: int) -> list[str]:
    return [section.columns[index], *(row[index] for row in section.rows)]


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)
