"""A table in the width that there is: a number stands whole, or its column is left out and named. Pure."""

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
    """The columns that are shown, by index, with the letters that each gets and its name, in lines.

    `left_out` are the names of the others.
    """

    columns: Sequence[int]
    widths: Sequence[int]
    heads: Sequence[str]
    left_out: Sequence[str]


def fitted(section: Section, width: int, gap: int) -> Fitted:
    """As many columns as fit. The last of the numbers are left out first, then the last of the words.

    The first column always stays, and the first of the others that holds numbers stays longest.

    `gap` is the number of blanks between two columns.
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
    # Words give way first, the widest of them most; then the names of the columns of numbers.
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
    if _total(widths, gap) > width:  # one column only, of words that have to be broken
        widths = [width]
    left_out = [section.columns[index] or f"column {index + 1}" for index in columns if index not in shown]
    heads = [_in_lines(section.columns[index], letters) for index, letters in zip(shown, widths, strict=True)]
    return Fitted(shown, widths, heads, left_out)


def _least(section: Section, index: int) -> int:
    """The letters that a column needs: numbers whole, long words broken."""
    parts = [min(len(part.strip()), _WHOLE_PART) for part in _PART.findall(section.columns[index])]
    if index not in section.left:
        return max([*parts, *(len(row[index]) for row in section.rows), 1])
    words = [word for row in section.rows for word in row[index].split()]
    numbers = [len(word) for word in words if _NUMBER.fullmatch(word)]
    return max([*parts, *numbers, *(min(len(word), _WHOLE_WORDS) for word in words), 1])


def _in_lines(name: str, width: int) -> str:
    """A column's name broken after _, /, . or a blank, where it does not fit one line."""
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
