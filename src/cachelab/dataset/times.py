"""Reads times of logs: numbers in some unit, ISO 8601 text, or a database's own type."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from cachelab.dataset.json_text import described, kind, quoted
from cachelab.errors import DatasetError

TimeUnit = Literal["auto", "s", "ms", "us", "ns", "none"]
"""`auto` recognises the unit of numbers by their size; `none` ignores all times."""

_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _END = 10**8, 10**10
"""A number is a date if it is between these seconds since 1970: March 1973 and November 2286."""


class TimeReader:
    """Reads the times of one source. All numbers of a source must have the same unit.

    The unit is recognised if the number is a date between 1973 and 2286 in exactly one unit. Smaller numbers, such as
    times from the start of a trace, can have any unit. They are refused unless `dataset.timestamp_unit` is set.
    """

    def __init__(self, unit: TimeUnit = "auto") -> None:
        self._given = unit
        self._unit: str | None = None if unit in ("auto", "none") else unit
        self._numbers = self._texts = self._without_zone = 0

    def ns(self, value: Any, where: str) -> int | None:
        """The time in whole nanoseconds since 1970, or since the source's own zero; None for null.

        `where` names the file, the line and the field. Raises DatasetError if the value is not a time, or if its unit
        cannot be recognised.
        """
        if value is None or self._given == "none":
            return None
        if isinstance(value, datetime):
            return self._date(value)
        if isinstance(value, str):
            if not _NUMBER.fullmatch(value.strip()):
                return self._date(_parsed(value.strip(), where))
            return self._number(Decimal(value.strip()), where)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DatasetError(f"{where} is {kind(value)}, not a time: {_WAY_OUT}")
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise DatasetError(f"{where} is {described(value)}, not a time: {_WAY_OUT}")
        return self._number(Decimal(str(value)), where)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user about how the times were read."""
        notes = []
        if self._numbers and self._unit:
            how = "as dataset.timestamp_unit says" if self._given != "auto" else "recognised by their size"
            notes.append(f"times: numbers are {_NAMES[self._unit]} ({how})")
        if self._texts:
            zone = f", {self._without_zone:,} of them without a time zone, read as UTC" if self._without_zone else ""
            notes.append(f"times: {self._texts:,} dates{zone}")
        return tuple(notes)

    def _number(self, value: Decimal, where: str) -> int:
        shown = f"{value:f}" if abs(value) < 10**30 and value > -(10**30) else "out of range"
        if self._given == "auto":
            unit = next((unit for unit, ns in _NS.items() if _FIRST <= value * ns / _NS["s"] < _END), None)
            if unit is None:
                raise DatasetError(
                    f"{where} is {shown}, which is no date in s, ms, us or ns: set dataset.timestamp_unit to the unit, "
                    "or to none to leave times out"
                )
            if self._unit not in (None, unit):
                raise DatasetError(
                    f"{where} is {shown}, {_NAMES[unit]} by its size, but the times before are {_NAMES[self._unit]}: "
                    "set dataset.timestamp_unit to the unit of all, or to none to leave times out"
                )
            self._unit = unit
        self._numbers += 1
        ns = round(value * _NS[self._unit or "s"])
        if abs(ns) >= 1 << 63:
            raise DatasetError(f"{where} is {shown}, out of range in {_NAMES[self._unit or 's']}: {_WAY_OUT}")
        return ns

    def _date(self, value: datetime) -> int:
        self._texts += 1
        if value.tzinfo is None:
            self._without_zone += 1
            value = value.replace(tzinfo=UTC)
        return (value - _EPOCH) // timedelta(microseconds=1) * 1000


_WAY_OUT = (
    "write seconds, milliseconds, microseconds or ISO 8601, or set dataset.timestamp_unit=none to leave times out"
)


def _parsed(text: str, where: str) -> datetime:
    """The date of an ISO 8601 text, which may end in " UTC"."""
    try:
        return datetime.fromisoformat(re.sub(r" ?UTC$", "+00:00", text))
    except ValueError as error:
        raise DatasetError(f"{where} is {quoted(text)}, not a time: {_WAY_OUT}") from error
