import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest

from cachelab.conversation import Conversation
from cachelab.dataset import stored_conversations
from cachelab.dataset.stored_conversations import StoredConversations
from cachelab.errors import StorageError
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.trace.multi_turn import MultiTurn
from cachelab.trace.single_turn import SingleTurn
from cachelab.turn import StoredTurn

CHATS = [
    Conversation.of_texts(f"c{n}", [(f"u{n}" * n, f"a{n}"), ("more", "\u65e5\u672c")], "be kind") for n in range(9)
]


def stored(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> StoredConversations:
    monkeypatch.setattr(stored_conversations, "IN_MEMORY_BYTES", in_memory)
    conversations = StoredConversations()
    for chat in CHATS:
        conversations.add(chat)
    return conversations


@pytest.mark.parametrize("in_memory", [0, 1000, 1 << 20])
def test_conversations_come_back_in_any_order(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    conversations = stored(monkeypatch, in_memory)
    assert (len(conversations), list(conversations), conversations[-1]) == (9, CHATS, CHATS[-1])
    assert [conversations[place] for place in (7, 0, 8, 3)] == [CHATS[place] for place in (7, 0, 8, 3)]
    assert conversations[2:4] == CHATS[2:4]
    with pytest.raises(IndexError):
        conversations[9]


def test_conversations_can_be_added_after_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    conversations = stored(monkeypatch, 500)
    assert conversations[0] == CHATS[0]
    conversations.add(CHATS[4])
    assert (conversations[9], conversations[1]) == (CHATS[4], CHATS[1])


def test_file_has_no_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    conversations = stored(monkeypatch, 0)
    assert list(tmp_path.iterdir()) == []
    assert list(conversations) == CHATS


def test_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(StorageError, match=r"No space left on device.*set TMPDIR to a folder of another disk"):
        stored(monkeypatch, 0)


@pytest.mark.parametrize("trace", [MultiTurn(), SingleTurn()])
def test_requests_of_stored_texts_are_those_of_texts_in_memory(
    monkeypatch: pytest.MonkeyPatch, trace: MultiTurn | SingleTurn
) -> None:
    conversations = stored(monkeypatch, 0)
    ids = np.arange(3, dtype=np.int32)
    spans = np.asarray([(0, 0)], np.int32)

    def tokenized(place: int, *, kept: bool) -> TokenizedConversation:
        turns = [
            TokenizedTurn(
                0, ids, ids, ids, spans, spans, source=StoredTurn(conversations, place, index) if kept else turn
            )
            for index, turn in enumerate(CHATS[place].turns)
        ]
        return TokenizedConversation(CHATS[place].id, tuple(turns))

    read, wanted = (trace.build([tokenized(n, kept=kept) for n in range(9)]) for kept in (True, False))
    assert read.numbers == wanted.numbers
    for a, b in zip(read.requests, wanted.requests, strict=True):
        assert (a.id, list(a.messages), a.reply, a.prompt, a.response) == (
            b.id, list(b.messages), b.reply, b.prompt, b.response
        )  # fmt: skip
        assert (len(a.messages), a.messages[-1], a.messages[:1]) == (len(b.messages), b.messages[-1], b.messages[:1])
        np.testing.assert_array_equal(a.spans, b.spans)
    # A reference to a stored turn takes little memory, however long the text.
    if isinstance(trace, MultiTurn):
        assert all(isinstance(request.recorded_reply, StoredTurn) for request in read.requests)
    assert len(pickle.dumps(CHATS[8])) > 100
