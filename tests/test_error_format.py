"""One line for a person, whatever went wrong."""

import errno
from typing import Any

import pytest
from hydra.errors import ConfigCompositionException
from pydantic import Field, TypeAdapter, ValidationError

from cachelab.composition import composed
from cachelab.engine.step_cost import StepCost
from cachelab.engine.table_cost import TableCost
from cachelab.error_format import cut, format_error, format_finding, one_line, reason, shown
from cachelab.errors import DatasetError


def test_format_error_of_our_own_error_is_its_text() -> None:
    assert format_error(DatasetError("chats.json: empty: write a chat")) == "chats.json: empty: write a chat"


def test_format_error_of_an_unforeseen_error_names_its_kind_and_where_to_see_more() -> None:
    text = format_error(ZeroDivisionError("division\nby zero"))
    assert text == "ZeroDivisionError: division by zero (HYDRA_FULL_ERROR=1 shows where)"


def invalid(kind: Any, value: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return caught.value


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a sentence\n  on two lines"), "a sentence on two lines"),
        (KeyError("vocab"), "KeyError: 'vocab'"),
        (RuntimeError(), "RuntimeError"),
        (PermissionError(errno.EACCES, "Permission denied", "a.json"), "Permission denied: a.json"),
        (ValueError("x " * 400), "x " * 148 + "x..."),
        (invalid(dict[str, list[int]], {"sizes": [1, "b"]}), "sizes.1: input should be a valid integer, "),
    ],
)
def test_reason_is_one_line(error: Exception, text: str) -> None:
    assert reason(error).startswith(text)
    assert len(reason(error)) <= 300
    assert "\n" not in reason(error)


def test_finding_names_the_key_below_the_prefix() -> None:
    from typing import Annotated

    error = invalid(dict[str, Annotated[int, Field(gt=0)]], {"num_users": 0})
    assert format_finding(error, "order") == "order.num_users: input should be greater than 0, got 0"
    assert format_finding(error) == "num_users: input should be greater than 0, got 0"


def test_an_option_given_to_its_key_is_to_be_chosen_with_a_slash() -> None:
    error = invalid(dict[str, int], {"policy": "arc"})
    assert format_finding(error, "engine") == "engine.policy: its options are chosen with a slash: engine/policy=arc"
    error = invalid(dict[str, StepCost | TableCost], {"cost": "table"})
    assert format_finding(error, "engine") == "engine.cost: its options are chosen with a slash: engine/cost=table"
    error = invalid(dict[str, int], {"block_size": "many"})
    assert format_finding(error, "engine").startswith("engine.block_size: input should be a valid integer")


def test_a_setting_of_another_option_names_that_option() -> None:
    with pytest.raises(ValidationError) as caught:
        StepCost(**{"record_steps": True})
    assert format_finding(caught.value, "engine") == (
        "engine.record_steps: there is no such setting with this option of engine: set engine=cpu or engine=cuda"
    )


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("engine=sim,replay", "engine=sim,replay: several values: add --multirun to run each"),
        ("plugins=a,b", "plugins=a,b: several values: add --multirun to run each, or write a list: 'plugins=[a,b]'"),
    ],
)
def test_several_values_are_a_list_only_for_a_setting(override: str, text: str) -> None:
    with pytest.raises(ConfigCompositionException) as caught:
        composed([override])
    assert format_error(caught.value) == text


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            ["engine=server", "engine.real.url=http://x"],
            "engine.real: there is no such setting with this option of engine, only with engine=agreement",
        ),
        (
            ["experiment=server_gap", "engine=server"],
            "engine@engine.real: experiment=server_gap sets it, which only engine=agreement has: leave engine=... out",
        ),
    ],
)
def test_setting_of_an_engine_inside_another_one_names_the_option_that_has_it(overrides: list[str], text: str) -> None:
    with pytest.raises(ConfigCompositionException) as caught:
        composed(overrides)
    assert format_error(caught.value) == text


def test_cut_text_keeps_to_its_length() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abc..."
    assert shown("a" * 100) == "'" + "a" * 76 + "..."


def test_one_line_joins_the_lines_with_text() -> None:
    assert one_line("  a\n\n   b  \n") == "a b"
