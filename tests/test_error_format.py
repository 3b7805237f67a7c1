"""One line for a person, whatever went wrong."""

from cachelab.error_format import format_error, one_line
from cachelab.errors import DatasetError


def test_complaint_of_our_own_error_is_its_text() -> None:
    assert format_error(DatasetError("chats.json: empty: write a chat")) == "chats.json: empty: write a chat"


def test_complaint_of_an_unforeseen_error_names_its_kind_and_where_to_see_more() -> None:
    text = format_error(ZeroDivisionError("division\nby zero"))
    assert text == "ZeroDivisionError: division by zero (HYDRA_FULL_ERROR=1 shows where)"


def test_one_line_joins_what_says_something() -> None:
    assert one_line("  a\n\n   b  \n") == "a b"
