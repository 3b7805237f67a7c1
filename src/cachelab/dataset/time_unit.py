"""Units of recorded times."""

from collections.abc import Mapping
from typing import Literal

from cachelab.errors import DatasetError

TimeUnit = Literal["s", "ms", "us"]

SECONDS: Mapping[TimeUnit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
"""What each unit is worth in seconds."""

_FROM, _TO = 946_684_800, 4_102_444_800  # 2000-01-01 and 2100-01-01 in seconds since 1970


def date_unit(value: float) -> TimeUnit | None:
    """The unit in which the value is a date between 2000 and 2100; None: it is a date in no unit."""
    return next((unit for unit, worth in SECONDS.items() if _FROM <= value * worth < _TO), None)


def check_unit(earliest: float, unit: TimeUnit, where: str, field: str) -> None:
    """Raise DatasetError if the earliest time of a source is a date, but not in the given unit."""
    found = date_unit(earliest)
    if found not in (None, unit):
        raise DatasetError(
            f"{where}: field {field} is {earliest:.0f}, which is a date in {found}, not in {unit}: set "
            f"dataset.timestamp_unit={found}"
        )
