"""Where the tokens of prompts come from."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachelab.spans import NO_SPANS, Spans, new_spans, with_reply
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn


@st.composite
def span_rows(draw: st.DrawFn) -> Spans:
    starts = sorted(draw(st.sets(st.integers(1, 12), max_size=5)))
    return np.array([(start, draw(st.integers(-2, 3))) for start in (0, *starts)], np.int32)


@given(st.lists(span_rows(), max_size=4), st.integers(13, 15))
def test_spans_come_back_from_their_differences(prompts: list[Spans], length: int) -> None:
    """Any spans, whatever those of the prompt and the reply before were."""
    turns: list[TokenizedTurn] = []
    context = NO_SPANS
    for spans in prompts:
        turns.append(
            TokenizedTurn(
                0, np.arange(length, dtype=np.int32), np.zeros(1, np.int32), new_spans=new_spans(context, spans)
            )
        )
        context = with_reply(spans, length, 0)
    read = TokenizedConversation("c", tuple(turns)).spans()
    assert [spans.tolist() for spans in read] == [spans.tolist() for spans in prompts]
