import numpy as np
import pytest

from cachelab.order import ByArrival, ByConversation
from cachelab.order.arrival_note import arrival_note
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn


def timed(*seconds: float | None) -> list[TokenizedConversation]:
    """One conversation with one turn for each time."""
    tokens = np.zeros(3, np.int32)
    return [
        TokenizedConversation(f"c{number}", (TokenizedTurn(0, tokens, tokens, timestamp_s=second),))
        for number, second in enumerate(seconds)
    ]


def test_order_that_ignores_the_times_is_noted() -> None:
    note = arrival_note(ByConversation(), timed(0.0, 2.5))
    assert note is not None
    assert "order=by_arrival" in note


@pytest.mark.parametrize("seconds", [(None, None), (3.0, 3.0), (1.0,), (1.0, None), ()])
def test_no_note_without_times(seconds: tuple[float | None, ...]) -> None:
    assert arrival_note(ByConversation(), timed(*seconds)) is None


def test_no_note_in_the_order_of_arrival() -> None:
    assert arrival_note(ByArrival(), timed(0.0, 2.5)) is None


def test_no_note_on_times_that_a_trace_has_where_its_source_has_none() -> None:
    tokens = np.zeros(3, np.int32)
    turns = tuple(TokenizedTurn(0, tokens, tokens, timestamp_s=float(number)) for number in range(3))
    made = [TokenizedConversation("a", turns), TokenizedConversation("b", turns[:2])]
    assert arrival_note(ByConversation(), made) is None
    assert arrival_note(ByConversation(), [*made, *timed(1.0)]) is not None
