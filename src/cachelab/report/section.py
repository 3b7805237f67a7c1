"""A titled table of text, as the console and summary.md show it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from cachelab.metrics.base import Ratio

ABSENT = "-"
_NUMBER = re.compile(r"\d+(?:,\d{3}(?!\d))*(?:\.\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Section:
    """A table with a title. `left`: the indices of the columns of words. The others hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    left: frozenset[int] = frozenset({0})


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return ABSENT if value is None else f"{value:,.0f}"


def decimal(value: float | None) -> str:
    """A number with two decimals."""
    return ABSENT if value is None else f"{value:,.2f}"


def percent(value: float | None) -> str:
    """A ratio in percent with two decimals."""
    return ABSENT if value is None else f"{100 * value:.2f} %"


def points(value: float | None) -> str:
    """Percentage points with a sign and two decimals."""
    return ABSENT if value is None else f"{value:+.2f}"


def seconds(value: float | None) -> str:
    """Seconds with four decimals; smaller values in scientific notation."""
    if value is None:
        return ABSENT
    return f"{value:,.4f}" if value == 0 or abs(value) >= 0.0001 else f"{value:.1e}"


def money(value: float | None) -> str:
    """An amount with two decimals; one below 1 with four significant digits."""
    if value is None:
        return ABSENT
    return f"{value:,.2f}" if value == 0 or abs(value) >= 1 else f"{value:.4g}"


def plain(value: float | None) -> str:
    """A number of any unit: a whole number as a count, others with four significant digits."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def grouped(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """Reasons with counts, most frequent first. Those that differ only in numbers are merged, as smallest..largest."""
    groups: dict[str, list[list[str]]] = {}
    for reason in reasons:
        groups.setdefault(_NUMBER.sub("\0", reason), []).append(_NUMBER.findall(reason))
    ranked = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [(_filled(template, numbers), len(numbers)) for template, numbers in ranked]


def _filled(template: str, numbers: list[list[str]]) -> str:
    spans = [(min(column, key=_value), max(column, key=_value)) for column in zip(*numbers, strict=True)]
    words = template.split("\0")
    texts = [least if _value(least) == _value(greatest) else f"{least}..{greatest}" for least, greatest in spans]
    return words[0] + "".join(text + word for text, word in zip(texts, words[1:], strict=True))


def sums(ratio: Ratio) -> str:
    """The numerator and the denominator of a ratio."""
    return f"{count(ratio.numerator)} of {count(ratio.denominator)}"


def _value(number: str) -> Decimal:
    return Decimal(number.replace(",", ""))
