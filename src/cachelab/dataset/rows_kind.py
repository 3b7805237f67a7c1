"""What the rows of a chat log are: a conversation each, or an API call each."""

from collections.abc import Sequence

from cachelab.dataset.chat_row import ChatRow, Kind
from cachelab.errors import DatasetError
from cachelab.message import Message

SAMPLE = 200
"""Rows from which the kind is recognised."""

_WAY_OUT = "set dataset.rows=conversation or dataset.rows=request"


def recognised(rows: Sequence[ChatRow]) -> tuple[Kind, str]:
    """What the rows are, and why. Raises DatasetError if they disagree.

    In this order: what the fields say (a response means a call; `traj`, `history`, `conversation` and `conversations`
    a conversation); a row that continues an earlier one means calls; otherwise rows that end with the assistant are
    conversations, and rows that do not are calls.
    """
    first = {kind: row for row in reversed(rows) if (kind := row.says) is not None}
    if len(first) == 2:
        a, b = first["conversation"], first["request"]
        raise DatasetError(f"{a.place} is a conversation by its fields, {b.place} an API call: {_WAY_OUT}")
    for kind, row in first.items():
        why = "a response" if row.has_response else "the field that holds its messages"
        return kind, f"{row.place} has {why}"
    if (extends := _extends(rows)) is not None:
        return "request", f"{extends.place} continues an earlier row"
    ends = {bool(row.messages) and row.messages[-1].role == "assistant": row for row in reversed(rows)}
    if len(ends) == 2:
        raise DatasetError(
            f"{ends[True].place} ends with the assistant's message, {ends[False].place} does not, so rows could be "
            f"conversations or API calls: {_WAY_OUT}"
        )
    return ("conversation", "rows end with a reply") if True in ends else ("request", "rows end without a reply")


def _extends(rows: Sequence[ChatRow]) -> ChatRow | None:
    """A row that begins with all messages of an earlier row and goes on."""
    nodes: dict[tuple[int, Message], int] = {}  # of the tree of all prefixes
    ends: set[int] = set()
    for row in rows:
        node = 0
        for message in row.messages:
            if node in ends:
                return row
            node = nodes.setdefault((node, message), len(nodes) + 1)
        if row.messages:
            ends.add(node)
    return None
