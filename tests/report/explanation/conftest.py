"""Explanations made by hand."""

import pytest

from cachelab.explanation import Break, Cause, ExplainedRequest, Explanation, Group, Place
from cachelab.metrics.base import Ratio

BEFORE = Ratio(388, 1000)
TIME = Break(
    token=24,
    earlier="a/0",
    earlier_turns=1,
    kind="date_or_time",
    place=Place("message", "system message", 0, "system", 29, 37),
    before="10:32:07",
    after="10:32:09",
    left="You are a helpful assistant. The current time is ",
    right=". Answer in English.\nBe brief.",
    behind_tokens=500,
)
HOSTILE = Break(
    token=40,
    earlier="b/0",
    earlier_turns=None,
    kind="message_edited",
    place=Place("message", "message 2 (user)", 2, "user", 0, 9),
    before="<script>alert(1)</script>",
    after="\x1b[31m`| ``` \u202e</code>",
    left="a <b>",
    right="</details> & more",
    behind_tokens=60,
)


def request(
    name: str, turn: int, reused: int, other: int, behind: int, new: int, found: Break | None = None
) -> ExplainedRequest:
    prompt = reused + other + behind + new
    return ExplainedRequest(
        f"{name}/{turn}", name, turn, prompt, reused, other, behind, new, found, "acme" if name == "a" else "b&b"
    )


@pytest.fixture
def explained() -> Explanation:
    """Two conversations, two causes that are undone and one that is not; the hit rate is 38.8 %."""
    requests = [
        request("a", 0, 0, 0, 0, 600),
        request("b", 0, 0, 0, 0, 100),
        request("a", 1, 16, 8, 500, 176, TIME),
        request("b", 1, 32, 8, 60, 20, HOSTILE),
    ]
    time = Cause(
        "date_or_time", "system message", "system", TIME.before, TIME.after, 702, 1_853_120, BEFORE,
        Ratio(800, 1000), Ratio(800, 1000), TIME,
    )  # fmt: skip
    edited = Cause(
        "message_edited", "message 2 (user)", "user", HOSTILE.before, HOSTILE.after, 1, 60, BEFORE,
        Ratio(390, 1000), Ratio(805, 1000), HOSTILE,
    )  # fmt: skip
    task = Cause("different_task", "system message", "system", "", "", 3, 20, BEFORE)
    groups = [
        Group("acme", 2, 1300, 16, 500, 776, {("date_or_time", "system message"): 500}, {32: 1}),
        Group("b&b", 2, 220, 32, 60, 120, {("message_edited", "message 2 (user)"): 60}, {64: 1}),
    ]
    return Explanation(BEFORE, Ratio(805, 1000), requests, [time, edited, task], groups, ("A note <of> the run.",))


@pytest.fixture
def nothing_broken() -> Explanation:
    return Explanation(Ratio(9, 10), None, [request("a", 0, 0, 0, 0, 160), request("a", 1, 160, 0, 0, 8)], [])
