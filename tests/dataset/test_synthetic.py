"""Made chats: their lengths, what they share, and that equal settings make equal tokens."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.dataset.synthetic import VOCABULARY, Synthetic
from cachelab.errors import ConfigError
from cachelab.tokenized_conversation import TokenizedConversation


def chats(**settings: int) -> list[TokenizedConversation]:
    found = Synthetic(**settings).load().conversations
    return [one for one in found if isinstance(one, TokenizedConversation)]


def test_synthetic_lengths() -> None:
    # 3 shared + 10 own + 4 new = 17; + 2 of the reply + 4 new = 23; and 29
    lengths = {"shared_prefix_tokens": 3, "prompt_tokens": 10, "turn_tokens": 4, "reply_tokens": 2}
    (chat, other) = chats(num_conversations=2, num_turns=3, **lengths)
    first, second, third = (np.asarray(prompt) for prompt in chat.prompts())
    assert [len(prompt) for prompt in (first, second, third)] == [17, 23, 29]
    assert np.array_equal(second[:19], [*first, *chat.turns[0].reply_ids])
    assert np.array_equal(third[:25], [*second, *chat.turns[1].reply_ids])
    assert chat.prefix_breaks == 0
    shared = other.prompts()[0]
    assert np.array_equal(shared[:3], first[:3])
    assert not np.array_equal(shared[3:], first[3:])


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 5), st.integers(0, 9), st.integers(0, 3), st.integers(0, 9))
def test_synthetic_is_the_same_each_time(number: int, turns: int, shared: int, own: int, new: int, seed: int) -> None:
    settings: dict[str, int] = {"num_turns": turns, "shared_prefix_tokens": shared, "turn_tokens": new, "seed": seed}
    settings |= {"prompt_tokens": own + 1}
    fewer, more = chats(num_conversations=number, **settings), chats(num_conversations=number + 1, **settings)
    for one, same in zip(fewer, more, strict=False):
        assert all(np.array_equal(a, b) for a, b in zip(one.prompts(), same.prompts(), strict=True))
    ids = np.concatenate([np.asarray(prompt) for chat in more for prompt in chat.prompts()])
    assert ids.min() >= 0
    assert ids.max() < VOCABULARY


def test_synthetic_digest_depends_on_every_setting() -> None:
    digests = {Synthetic().load().digest}
    for name in ("num_conversations", "num_turns", "shared_prefix_tokens", "prompt_tokens", "turn_tokens", "seed"):
        digests.add(Synthetic(**{name: 7}).load().digest)
    assert len(digests) == 7
    assert Synthetic().load().digest in digests
    loaded = Synthetic(num_conversations=3).load()
    assert loaded.counts == {"conversations": 3, "turns": 9}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt_tokens": 0, "turn_tokens": 0}, r"dataset\.turn_tokens: the first prompts are empty"),
        ({"num_conversations": 1 << 20}, r"dataset\.num_conversations: .*268,435,456 tokens: set less"),
    ],
)
def test_synthetic_without_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Synthetic(**settings)
