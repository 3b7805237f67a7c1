"""Counts the fields of a source that cachelab does not read."""

from collections import Counter
from collections.abc import Iterable

from cachelab.dataset.json_text import quoted

_MOST_NAMED = 20


class IgnoredFields:
    """How often each unread field occurred."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def add(self, names: Iterable[str]) -> None:
        """Count the unread fields of one object."""
        self._times.update(names)

    @property
    def counts(self) -> dict[str, int]:
        """`ignored_fields`: the number of different fields. `ignored_values`: the number of their values."""
        return {"ignored_fields": len(self._times), "ignored_values": self._times.total()}

    @property
    def notes(self) -> tuple[str, ...]:
        """One line that names the fields; empty if there are none."""
        if not self._times:
            return ()
        named = [f"{_plain(name)} ({times:,})" for name, times in self._times.most_common(_MOST_NAMED)]
        more = len(self._times) - len(named)
        further = [f"{more:,} more"] if more else []
        return (f"fields of the dataset that were not read (how often): {', '.join([*named, *further])}",)


def _plain(name: str) -> str:
    return name if name.isidentifier() and name.isascii() and len(name) <= 40 else quoted(name)
