"""Prompts in token ids, stored as differences."""

import numpy as np

from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.tokens import TokenIds

NOTHING = np.empty(0, dtype=np.int32)


def ids(*values: int) -> TokenIds:
    return np.array(values, dtype=np.int32)


def test_prompts_are_rebuilt_from_differences() -> None:
    conversation = TokenizedConversation(
        "c",
        (
            TokenizedTurn(0, ids(1, 2), ids(3)),
            TokenizedTurn(3, ids(4), ids(5, 6)),  # all of 1 2 3
            TokenizedTurn(5, ids(9), ids(7)),  # 1 2 3 4 5, without the reply's 6
        ),
    )
    assert [prompt.tolist() for prompt in conversation.prompts()] == [[1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5, 9]]
    assert [turn.prompt_tokens for turn in conversation.turns] == [2, 4, 6]
    assert conversation.prompt_tokens == 12
    assert conversation.prefix_breaks == 1  # the last turn


def test_prompts_have_one_type() -> None:
    conversation = TokenizedConversation("c", (TokenizedTurn(0, ids(1), NOTHING),))
    assert [np.asarray(prompt).dtype for prompt in conversation.prompts()] == [np.int32]
    assert TokenizedConversation("c", ()).prompts() == []
