"""What is put back when a summary replaces a whole history."""

import pytest

from cachelab.explanation.difference import edited
from cachelab.explanation.differences import differences
from cachelab.explanation.exchange import Exchange
from cachelab.message import Message

SYSTEM = Message("system", "Answer briefly.")
ASKED = (Message("user", "Where is parcel 4711?"), Message("assistant", "It arrives tomorrow."))
SUMMARY = Message("user", "Summary of the conversation so far: parcel 4711 is on its way.")
ACCEPTED = Message("assistant", "Understood.")
NEXT = Message("user", "Cancel my order then, please.")


@pytest.mark.parametrize(
    ("sent", "undone"),
    [
        ((SYSTEM, SUMMARY, NEXT), (SYSTEM, *ASKED, NEXT)),
        ((SYSTEM, SUMMARY, ACCEPTED, NEXT), (SYSTEM, *ASKED, ACCEPTED, NEXT)),
        ((SYSTEM, SUMMARY), (SYSTEM, *ASKED, SUMMARY)),  # it may hold the new question
    ],
)
def test_messages_behind_a_summary_stay_when_the_history_is_put_back(
    sent: tuple[Message, ...], undone: tuple[Message, ...]
) -> None:
    earlier, now = Exchange((SYSTEM, ASKED[0]), ASKED[1]), Exchange(sent, None)
    (found,) = differences(earlier, now, same_conversation=True)
    assert (found.kind, found.place.label) == ("history_compacted", "history")
    assert found.undo is not None
    assert edited(now, [found.undo]).messages == undone
