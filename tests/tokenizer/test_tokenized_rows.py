import os

import numpy as np
import pytest

from cachelab.conversation import Conversation
from cachelab.dataset.sample import Sample
from cachelab.dataset.stored_conversations import StoredConversations
from cachelab.errors import TokenizerError
from cachelab.message import Message, Part
from cachelab.stage_progress import listening
from cachelab.tokenizer import tokenized_rows as module
from cachelab.tokenizer.mistral import Mistral
from cachelab.tokenizer.tokenized_rows import TOKENISING_BYTES, Row, tokenized_rows
from cachelab.turn import Turn


def same(found: list[Row], wanted: list[Row]) -> bool:
    return len(found) == len(wanted) and all(
        list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.slow  # starts two processes, each of which loads the vocabulary
def test_rows_of_several_processes_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    conversations = Sample().load().conversations
    assert isinstance(conversations, StoredConversations)
    alone = list(tokenized_rows(Mistral(), conversations))
    monkeypatch.setattr(module, "PARALLEL_FROM_BYTES", 0)
    monkeypatch.setattr(module, "AT_ONCE_BYTES", 1000)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    heard: list[tuple[str, int, int | None]] = []
    with listening(lambda *reported: heard.append(reported)):
        several = list(tokenized_rows(Mistral(), conversations))
    assert same(several, alone)
    assert [what for what, _, _ in heard] == [TOKENISING_BYTES] * len(heard)
    done = [number for _, number, _ in heard]
    assert (done[0], done, heard[0][2]) == (0, sorted(done), conversations.num_bytes)


def test_error_names_the_conversation() -> None:
    conversations = StoredConversations()
    conversations.add(Conversation.of_texts("good", [("a", "b")]))
    picture = Message("user", (Part("image", digest="0" * 64),))
    conversations.add(Conversation("with a picture", (Turn(0, (picture,), Message("assistant", "nice")),)))
    with pytest.raises(TokenizerError, match=r"^conversation with a picture: "):
        list(tokenized_rows(Mistral(), conversations))
