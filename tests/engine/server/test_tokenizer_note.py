"""What a run says of token ids that may be of another tokenizer than the server's."""

from collections.abc import Sequence
from typing import Any

import pytest

from cachelab.conversation import AnyConversation, Conversation
from cachelab.dataset.base import LoadedDataset
from cachelab.engine.agreement import AgreementEngine
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.server.server_engine import ServerEngine
from cachelab.engine.server.tokenizer_note import tokenizer_note
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.mistral import Mistral

TEXTS = [Conversation.of_texts("a", [("one", "1")])]


def note(engine: Any, conversations: Sequence[AnyConversation] = TEXTS, tokenizer: Any = None) -> str | None:
    data = LoadedDataset("listed", "here", "0" * 64, conversations, {})
    return tokenizer_note(engine, tokenizer or Mistral(), data)


@pytest.mark.parametrize("engine", [ServerEngine(), AgreementEngine(real=ServerEngine())])
def test_texts_as_ids_of_the_bundled_tokenizer_get_a_note(engine: Any) -> None:
    text = note(engine) or ""
    assert text.startswith("The server gets token ids of tokenizer=mistral.")
    assert "set tokenizer=huggingface tokenizer.model=FOLDER" in text


@pytest.mark.parametrize(
    ("engine", "conversations"),
    [
        (ServerEngine(api="chat"), TEXTS),
        (ServerEngine(), [TokenizedConversation("a", ())]),
        (ServerEngine(), []),
        (ReplayEngine(), TEXTS),
    ],
)
def test_what_is_checked_or_has_no_tokenizer_gets_none(engine: Any, conversations: Sequence[AnyConversation]) -> None:
    assert note(engine, conversations) is None


def test_the_models_own_tokenizer_gets_none() -> None:
    class Own:
        name = "the model's"

    assert note(ServerEngine(), tokenizer=Own()) is None
