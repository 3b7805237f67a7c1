"""assert_stable_prefix as the tests of another program use it."""

import itertools
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cachelab
from cachelab import DatasetError
from cachelab.metrics.base import Ratio
from cachelab.testing import assert_stable_prefix

RULES = "You are a support agent. " + "Be polite, short and exact in every answer that you give. " * 40


def calls(conversations: int, turns: int, system: str = "{rules}") -> list[dict[str, Any]]:
    """Requests of chats one after another; {number} in the system text counts the requests."""
    made: list[dict[str, Any]] = []
    for chat in range(conversations):
        history: list[dict[str, str]] = []
        for turn in range(turns):
            history.append({"role": "user", "content": f"Where is order {100 * chat + turn}?"})
            text = system.format(rules=RULES, minute=f"{len(made) % 60:02d}")
            made.append({"messages": [{"role": "system", "content": text}, *history]})
            history.append({"role": "assistant", "content": f"Order {100 * chat + turn} arrives tomorrow."})
    return made


def test_stable_prompts_pass_and_give_the_explanation() -> None:
    explanation = assert_stable_prefix(calls(3, 4), 0.9, max_behind_a_break=0)
    assert len(explanation.requests) == 12
    assert explanation.hit_rate.value is not None
    assert explanation.hit_rate.value > 0.9
    assert explanation.behind_tokens == 0


def test_time_in_the_system_text_fails_with_its_cause() -> None:
    with pytest.raises(AssertionError) as failed:
        assert_stable_prefix(calls(3, 4, "It is 10:{minute}.\n{rules}"), max_behind_a_break=0.01)
    lines = str(failed.value).splitlines()
    assert lines[0].endswith("is below min_hit_rate=0.9")
    assert lines[1].endswith("of the tokens are behind a break, more than max_behind_a_break=0.01")
    assert "a date or time in the system message" in " ".join(lines[3:5])
    assert any(line.startswith(" 1  date or time, system message ") for line in lines)
    assert any(line.startswith("    fix     Move the date or time") for line in lines)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("changing", [False, True])
def test_the_example_of_the_document(monkeypatch: pytest.MonkeyPatch, changing: bool) -> None:
    document = (Path(__file__).parents[1] / "docs/ci.md").read_text(encoding="utf-8")
    code = document.split("```python\n")[2].split("```")[0]
    minutes = itertools.count(1)

    def build_request(messages: list[dict[str, str]]) -> dict[str, Any]:
        time = f"The time is 10:{next(minutes):02d}:07.\n" if changing else ""
        return {"messages": [{"role": "system", "content": time + RULES}, *messages], "tools": []}

    agent = ModuleType("my_agent")
    agent.__dict__["build_request"] = build_request
    monkeypatch.setitem(sys.modules, "my_agent", agent)
    names: dict[str, Any] = {}
    exec(code, names)
    if not changing:
        names["test_prompts_extend_each_other"]()
        return
    with pytest.raises(AssertionError) as failed:
        names["test_prompts_extend_each_other"]()
    lines = [line.rstrip() for line in str(failed.value).splitlines()]
    shown = document.split("    AssertionError: ")[1].split("\n\n- ")[0].splitlines()
    assert [line.strip() for line in shown] == [line.strip() for line in lines[: len(shown)]]


def test_hit_rate_is_that_of_the_calls_one_after_another() -> None:
    # 8 tokens per block. The second call repeats the first one's prompt; a fully cached prompt computes its last block
    # again, so with n full blocks n - 1 or n are hit, of 2 n.
    one = {"messages": [{"role": "user", "content": RULES}]}
    explanation = cachelab.explain([one, one], block_size=8)
    prompt = explanation.requests[0].prompt_tokens
    blocks = prompt // 8
    assert explanation.hit_rate == Ratio((prompt - 1) // 8, 2 * blocks)
    with pytest.raises(AssertionError, match=r"hit rate 0\.\d+ is below min_hit_rate=0\.9"):
        assert_stable_prefix([one, one])
    assert_stable_prefix([one, one], 0.45)


def test_calls_keep_their_order_across_conversations() -> None:
    first, second = calls(2, 2)[:2], calls(2, 2)[2:]
    mixed = [first[0], second[0], first[1], second[1]]
    explanation = cachelab.explain(mixed)
    assert [request.turn_index for request in explanation.requests] == [0, 0, 1, 1]


def test_groups_of_calls() -> None:
    made = [{**call, "tenant": "a" if index < 4 else "b"} for index, call in enumerate(calls(2, 4))]
    assert {group.value: group.requests for group in cachelab.explain(made, by="tenant").groups} == {"a": 4, "b": 4}
    nested = [{**call, "metadata": {"route": call.pop("tenant")}} for call in made]
    groups = cachelab.explain(nested, by="metadata.route").groups
    assert {group.value: group.requests for group in groups} == {"a": 4, "b": 4}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"messages": "text"}, r"calls\[1\]"),
        ({"prompt": "text"}, r"calls\[1\]"),
        ("text", r"calls\[1\]"),
    ],
)
def test_call_that_cannot_be_read_is_named(call: Any, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        assert_stable_prefix([*calls(1, 1), call])


def test_prompts_below_one_block_are_no_test() -> None:
    with pytest.raises(ValueError, match="no prompt fills a block of the cache: test longer prompts"):
        assert_stable_prefix([{"messages": [{"role": "user", "content": "Hi"}]}])


@pytest.mark.parametrize(("least", "most"), [(90, None), (0.5, 2), (0.5, -0.1)])
def test_bounds_are_shares(least: float, most: float | None) -> None:
    with pytest.raises(ValueError, match=r"is not a share from 0 to 1: give 0\.02 for 2 %"):
        assert_stable_prefix(calls(1, 1), least, max_behind_a_break=most)


@pytest.mark.slow
def test_neither_vllm_nor_mlflow_is_imported() -> None:
    code = (
        "import sys; from cachelab.testing import assert_stable_prefix as check;"
        f"check([{{'messages': [{{'role': 'user', 'content': {RULES!r}}}]}}] * 3, 0.5);"
        "heavy = {'vllm', 'mlflow', 'torch', 'datasets', 'hydra', 'optuna'};"
        "print({name.split('.')[0] for name in sys.modules} & heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
