"""Causes planted into logs: found, in the right place, and undone to the block."""

from itertools import combinations
from pathlib import Path

import pytest

import cachelab
from cachelab.explanation import Explanation
from cachelab.tokenizer.mistral import Mistral
from planted import PLANTED, SUMMARISED, Log, Planted, made_up, sharegpt, tau_bench

TOKENIZER = Mistral(image_tokens=40)
CHATS = made_up(conversations=4, turns=7)


def explained(rows: Log) -> Explanation:
    return cachelab.explain(rows, tokenizer=TOKENIZER)


def check_alone(cause: Planted, rows: Log) -> None:
    with_it, without_it = map(explained, cause.plant(rows))
    assert without_it.causes == []
    assert without_it.behind_tokens == 0
    (found,) = with_it.causes
    assert (found.kind, found.place) == (cause.kind, cause.place)
    assert found.hit_rate_alone == found.hit_rate_cumulative == without_it.hit_rate
    assert with_it.hit_rate_all_fixed == without_it.hit_rate
    assert found.tokens == with_it.behind_tokens
    assert found.requests == sum(
        one.found is not None and one.found.kind != "different_task" for one in with_it.requests
    )


def check_together(names: tuple[str, ...], rows: Log) -> None:
    with_them = without_them = rows
    for name in names:
        with_them, without_them = PLANTED[name].plant(with_them)[0], PLANTED[name].plant(without_them)[1]
    found, clean = explained(with_them), explained(without_them)
    assert {(one.kind, one.place) for one in found.causes} == {
        (PLANTED[name].kind, PLANTED[name].place) for name in names
    }
    assert found.hit_rate_all_fixed == clean.hit_rate
    assert found.causes[-1].hit_rate_cumulative == clean.hit_rate
    assert sum(one.tokens for one in found.causes) == found.behind_tokens


@pytest.mark.parametrize("name", PLANTED)
def test_cause_planted_alone_is_found_and_undone_to_the_block(name: str) -> None:
    check_alone(PLANTED[name], CHATS)


def test_history_replaced_by_a_summary_is_undone_to_the_block() -> None:
    check_alone(SUMMARISED, CHATS)


TWO = ("a time in the system message", "a uuid", "tools in changing order", "first message edited", "history truncated")


@pytest.mark.parametrize("names", [*combinations(TWO, 2)], ids=" and ".join)
def test_two_causes_are_both_found_and_none_is_counted_twice(names: tuple[str, ...]) -> None:
    check_together(names, CHATS)


@pytest.mark.parametrize(
    "names",
    [
        ("a time in the system message", "tools in changing order", "replies rewritten"),
        ("a counter", "first message edited", "changing cache salt"),
        ("a uuid", "JSON keys in the system message", "history compacted"),
    ],
    ids=" and ".join,
)
def test_three_causes_are_all_found(names: tuple[str, ...]) -> None:
    check_together(names, CHATS)


def test_cause_behind_another_one_has_no_first_break_and_gives_nothing_alone() -> None:
    rows, _ = PLANTED["a time in the system message"].plant(PLANTED["tools in changing order"].plant(CHATS)[0])
    tools, time = explained(rows).causes  # the template puts the tools first
    assert (tools.kind, time.kind) == ("order", "date_or_time")
    assert tools.requests > time.requests
    assert time.points_alone is not None
    assert tools.points_alone is not None
    assert time.points_alone + tools.points_alone < (time.points_cumulative or 0.0)


def test_untouched_chats_name_no_cause() -> None:
    explanation = explained(CHATS)
    assert explanation.causes == []
    assert explanation.hit_rate_all_fixed is None
    assert explanation.behind_tokens == 0
    assert explanation.verdict.endswith("no break of a prefix was found that a change of the prompts avoids")


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_cause_planted_into_agent_traces(name: str, agent_traces: Path) -> None:
    check_alone(PLANTED[name], tau_bench(agent_traces / "tau_bench_airline_60.json", 8))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a time in the system message", "a user's name", "replies rewritten", "changing model"]
)
def test_cause_planted_into_chats_of_people(name: str, real_sharegpt: Path) -> None:
    check_alone(PLANTED[name], sharegpt(real_sharegpt, 40))
