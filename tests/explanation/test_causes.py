"""Which causes are listed, and in which order, with runs that are made by hand."""

from collections.abc import Mapping, Sequence

from cachelab.explanation import Break, ExplainedRequest, Place
from cachelab.explanation.analysis import Analysis
from cachelab.explanation.causes import Found, find_causes
from cachelab.explanation.undo import Key
from cachelab.metrics.base import Ratio
from cachelab.price import PromptTokens
from cachelab.tokenized_conversation import TokenizedConversation

TIME: Key = ("date_or_time", "system message")
ID: Key = ("id_or_number", "system message")
USER: Key = ("user_field", "system message")

Run = tuple[int, Sequence[Key]]
"""The hit blocks of 100, and the first break of each request."""


def analysis(hits: int, breaks: Sequence[Key]) -> Analysis:
    explained = [
        ExplainedRequest(f"a/{turn}", "a", turn, 16, 0, 0, 9, 7, broken(key)) for turn, key in enumerate(breaks)
    ]
    return Analysis(Ratio(hits, 100), PromptTokens(0, hits, 100 - hits), {}, explained, (), ())


def broken(key: Key) -> Break:
    return Break(3, "a/0", 1, key[0], Place("message", key[1], 0, "system"), "1", "2", "", "", 9)


def found_of(runs: Mapping[frozenset[Key], Run], max_causes: int = 20) -> Found:
    def run(keys: Sequence[Key]) -> tuple[Analysis, Sequence[TokenizedConversation]]:
        name = ",".join(kind for kind, _ in keys)
        return analysis(*runs[frozenset(keys)]), [TokenizedConversation(name, ())]

    return find_causes(analysis(*runs[frozenset()]), run, lambda key: None, max_causes)


def test_cause_that_gives_nothing_and_is_not_in_the_run_is_left_out() -> None:
    runs: dict[frozenset[Key], Run] = {
        frozenset(): (10, [TIME, TIME]),
        frozenset({TIME}): (40, [ID, ID, USER]),
        frozenset({TIME, ID}): (40, [USER]),
        frozenset({TIME, ID, USER}): (90, []),
        frozenset({TIME, USER}): (90, [ID]),
        frozenset({USER}): (10, [TIME]),
    }
    found = found_of(runs)
    assert [(cause.kind, cause.hit_rate_cumulative) for cause in found.causes] == [
        ("date_or_time", Ratio(40, 100)),
        ("user_field", Ratio(90, 100)),
    ]
    assert found.hit_rate_all_fixed == Ratio(90, 100)
    assert found.conversations is not None
    assert [one.id for one in found.conversations] == ["date_or_time,user_field"]


def test_last_cause_that_gives_nothing_is_left_out_of_the_fixed_workload() -> None:
    runs: dict[frozenset[Key], Run] = {
        frozenset(): (10, [TIME]),
        frozenset({TIME}): (40, [ID]),
        frozenset({TIME, ID}): (40, []),
    }
    found = found_of(runs)
    assert [cause.kind for cause in found.causes] == ["date_or_time"]
    assert found.conversations is not None
    assert [one.id for one in found.conversations] == ["date_or_time"]


def test_cause_that_hides_another_one_is_kept_though_it_gives_nothing_in_its_turn() -> None:
    runs: dict[frozenset[Key], Run] = {
        frozenset(): (10, [TIME]),
        frozenset({TIME}): (10, [ID]),
        frozenset({TIME, ID}): (10, [USER]),  # three changes in one block
        frozenset({TIME, ID, USER}): (90, []),
        frozenset({TIME, USER}): (10, [ID]),
        frozenset({ID}): (10, [TIME]),
        frozenset({USER}): (10, [TIME]),
    }
    found = found_of(runs)
    assert [cause.kind for cause in found.causes] == ["date_or_time", "id_or_number", "user_field"]
    assert found.hit_rate_all_fixed == Ratio(90, 100)


def test_cause_that_a_limit_leaves_is_listed_without_a_gain() -> None:
    runs: dict[frozenset[Key], Run] = {frozenset(): (10, [TIME]), frozenset({TIME}): (40, [ID])}
    found = found_of(runs, max_causes=1)
    assert [(cause.kind, cause.requests, cause.hit_rate_alone) for cause in found.causes] == [
        ("date_or_time", 1, Ratio(40, 100)),
        ("id_or_number", 0, None),
    ]
