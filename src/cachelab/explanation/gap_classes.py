"""The classes of all places where two versions of a text differ."""

from collections.abc import Sequence
from itertools import pairwise

from cachelab.explanation.break_class import BreakClass
from cachelab.explanation.text_class import text_class
from cachelab.explanation.text_gap import TextGap, same_words, text_gaps

_NEAR = 60  # characters between two parts of one user's data


def gap_classes(
    old: str, new: str, rest: BreakClass, *, task_text: bool, system: bool
) -> list[tuple[TextGap, BreakClass]]:
    """Each gap between two texts with its class; `rest` for those that have no other.

    A message of the history that was rewritten is that as a whole. Only a system message (`system`) may change for many
    reasons. `task_text`: see text_class.
    """
    gaps = text_gaps(old, new)
    found = [text_class(old, new, gap, task_text) for gap in gaps]
    _join_user_data(gaps, found, new)
    others = [gap for gap, kind in zip(gaps, found, strict=True) if kind is None]
    if (
        others
        and not task_text
        and same_words(
            [old[gap.start_before : gap.end_before] for gap in others],
            [new[gap.start_now : gap.end_now] for gap in others],
        )
    ):
        rest = "order"
    elif others and not system:
        return [(gap, rest) for gap in gaps]
    return [(gap, kind or rest) for gap, kind in zip(gaps, found, strict=True)]


def _join_user_data(gaps: Sequence[TextGap], found: list[BreakClass | None], new: str) -> None:
    """Count what follows a user's field on its line as that user's data: "Customer: Ann, account 4711"."""
    for at, (left, right) in enumerate(pairwise(gaps), 1):
        between = new[left.end_now : right.start_now]
        near = len(between) <= _NEAR and "\n" not in between
        if near and found[at - 1] == "user_field" and found[at] in ("id_or_number", None):
            found[at] = "user_field"
