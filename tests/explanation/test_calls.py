"""cachelab.explain: requests in memory, templates that drop reasoning, and what the result holds."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import cachelab
from cachelab.errors import ConfigError, DatasetError
from cachelab.explanation import CLASSES
from cachelab.explanation.numbers import numbers
from cachelab.explanation.tables import cause_table, request_table
from cachelab.report.explanation import explanation_text
from chat_models import CHATML, DROPS_REASONING, save_chatml
from planted import PLANTED, made_up

CHATS = made_up(conversations=3, turns=4)
Rows = list[dict[str, Any]]


def thinking(conversations: int, turns: int) -> Rows:
    """Chats whose replies have reasoning, which later prompts repeat."""
    rows: Rows = []
    for chat in range(conversations):
        messages = [{"role": "system", "content": "Think before you answer. Use short words."}]
        for turn in range(turns):
            messages = [*messages, {"role": "user", "content": f"Why is {'x' * turn} not {'y' * chat}?"}]
            thought = f"The user asks about {turn} and {chat}. " * 4 + "Done."
            reply = {"role": "assistant", "content": f"Since {turn} is not {chat}.", "reasoning_content": thought}
            rows.append({"session_id": f"c{chat}", "messages": messages, "response": reply})
            messages = [*messages, reply]
    return rows


def test_reasoning_that_the_template_drops(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    rows = thinking(3, 4)
    drops = cachelab.explain(rows, tokenizer=save_chatml(tmp_path / "drops", DROPS_REASONING))
    keeps = cachelab.explain(rows, tokenizer=save_chatml(tmp_path / "keeps", CHATML))
    cause = drops.causes[0]
    assert (cause.kind, cause.place) == ("reasoning", "template")
    assert cause.requests == 9
    assert cause.before.startswith("<think>\nThe user asks about 0")
    assert cause.after.startswith("Since 0 is not")
    assert cause.hit_rate_alone == keeps.hit_rate
    assert any("template drops reasoning" in note for note in drops.notes)


def test_reasoning_that_the_client_drops(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    model = save_chatml(tmp_path, CHATML)
    rows = thinking(3, 4)
    without = [
        row | {"messages": [{k: v for k, v in one.items() if k != "reasoning_content"} for one in row["messages"]]}
        for row in rows
    ]
    cause = cachelab.explain(without, tokenizer=model).causes[0]
    assert (cause.kind, cause.place) == ("reasoning", "reply")
    assert cause.hit_rate_alone == cachelab.explain(rows, tokenizer=model).hit_rate


def test_reasoning_that_the_template_never_shows_is_said(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (note,) = cachelab.explain(thinking(2, 3)).notes  # Mistral's template has no reasoning
    assert note.startswith("The replies hold reasoning, and the chat template shows none of it")
    shown = cachelab.explain(thinking(2, 3), tokenizer=save_chatml(tmp_path, CHATML))
    assert not any("shows none of it" in note for note in shown.notes)


def test_place_of_a_time_in_the_system_message() -> None:
    rows, _ = PLANTED["a time in the system message"].plant(CHATS)
    found = cachelab.explain(rows).causes[0].example
    assert found is not None
    assert (found.place.part, found.place.message, found.place.role) == ("message", 0, "system")
    text = "The current date and time is 2025-03-01 00:01:07."
    assert found.place.start == text.index("00:01:07") == 40
    assert found.place.end == len(text)
    assert (found.before[:3], found.after[:3]) == ("00:", "00:")
    assert found.left.endswith("date and time is 2025-03-01 ")


def test_text_is_not_kept_if_it_is_not_to_be_shown() -> None:
    rows, _ = PLANTED["a time in the system message"].plant(CHATS)
    hidden = cachelab.explain(rows, show_text=False)
    assert hidden.causes[0].kind == "date_or_time"
    shown = [
        text for one in hidden.requests if one.found for text in (one.found.before, one.found.after, one.found.left)
    ]
    assert set(shown) == {""}
    assert {hidden.causes[0].before, hidden.causes[0].after} == {""}


@pytest.mark.parametrize("logged", ["session_id", "response"])
def test_undone_time_gives_the_hit_rate_of_a_fixed_time(logged: str) -> None:
    def calls(changing: bool) -> Rows:
        found: Rows = []
        for chat in range(3):
            history: list[dict[str, str]] = []
            for turn in range(3):
                time = f"09:{len(found) if changing else 0:02d}"
                system = {
                    "role": "system",
                    "content": f"The time is 2026-11-02 {time}. " + "Answer in one sentence. " * 9,
                }
                history = [*history, {"role": "user", "content": f"Where is parcel {chat}-{turn}? " * 5}]
                reply = {"role": "assistant", "content": f"Parcel {chat}-{turn} is on its way. " * 5}
                more = (
                    {"session_id": str(chat)}
                    if logged == "session_id"
                    else {"response": {"choices": [{"message": reply}]}}
                )
                found.append({"messages": [system, *history], **more})
                history.append(reply)
        return found

    explained, fixed = cachelab.explain(calls(True)), cachelab.explain(calls(False))
    assert [cause.kind for cause in explained.causes] == ["date_or_time"]
    assert not fixed.causes
    assert fixed.hit_rate.value is not None
    assert explained.hit_rate.value is not None
    assert explained.hit_rate.value < 0.5 < fixed.hit_rate.value
    assert explained.hit_rate_all_fixed == fixed.hit_rate


def test_groups_say_which_tenant_breaks() -> None:
    rows, steady = PLANTED["a time in the system message"].plant(CHATS)
    mixed = [
        (broken if number % 4 == 0 else kept) | {"tenant": "broken" if number % 4 == 0 else "kept"}
        for number, (broken, kept) in enumerate(zip(rows, steady, strict=True))
    ]
    groups = {group.value: group for group in cachelab.explain(mixed, by="tenant").groups}
    assert sum(group.requests for group in groups.values()) == len(rows)
    assert groups["broken"].behind_tokens > groups["kept"].behind_tokens
    assert groups["broken"].by_cause["date_or_time", "system message"] == groups["broken"].behind_tokens
    assert sum(groups["broken"].first_tokens.values()) <= groups["broken"].requests
    with pytest.raises(ConfigError, match="by: no call has the field route: name a field of the calls"):
        cachelab.explain(mixed, by="route")


def test_different_task_is_no_cause_of_a_group() -> None:
    rows = [row | {"tenant": "a"} for row in CHATS]  # each conversation begins with another question
    explanation = cachelab.explain(rows, by="tenant")
    assert any(one.found is not None and one.found.kind == "different_task" for one in explanation.requests)
    assert [(dict(group.by_cause), dict(group.first_tokens)) for group in explanation.groups] == [({}, {})]


def test_requests_that_do_not_fit_are_counted() -> None:
    rows = PLANTED["a time in the system message"].plant(CHATS)[0]
    none = cachelab.explain(rows, num_blocks=3)
    assert none.verdict == "no request completed: there is nothing to explain"
    assert none.notes == (f"Requests that did not run, since they are too long for the engine: {len(rows)}.",)


def test_longer_prompts_that_do_not_fit_any_more_are_counted() -> None:
    rows = PLANTED["history truncated"].plant(made_up(conversations=2, turns=7))[0]
    whole = cachelab.explain(rows)
    longest = max(one.prompt_tokens for one in whole.requests)
    small = cachelab.explain(rows, num_blocks=longest // 16 + 8)
    assert len(small.requests) == len(rows)
    (cause,) = small.causes
    assert cause.kind == "history_truncated"
    assert cause.too_long > 0
    assert cause.saved_tokens is None
    assert small.notes[0].startswith(
        f"Requests that are too long for the engine with these causes undone: {cause.too_long}. They are not in "
    )
    assert f"saves   not known: {cause.too_long} requests are then too long" in explanation_text(small)
    assert (whole.causes[0].too_long, whole.notes) == (0, ())


def test_messages_that_are_left_out_are_counted() -> None:
    rows = deepcopy(CHATS)
    rows[1]["messages"].insert(1, {"role": "narrator", "content": "It is raining."})
    assert cachelab.explain(rows).notes == ("Left out of the calls (how often): dropped unknown role (1).",)


def test_groups_by_model() -> None:
    rows = [row | {"model": f"m{number % 2}"} for number, row in enumerate(CHATS)]
    assert {group.value for group in cachelab.explain(rows, by="model").groups} == {"m0", "m1"}


def test_terms_sum_to_the_prompts() -> None:
    for name in ("history truncated", "changing model", "replies rewritten"):
        explanation = cachelab.explain(PLANTED[name].plant(CHATS)[0])
        for one in explanation.requests:
            parts = (one.reused_tokens, one.other_tokens, one.behind_tokens, one.new_tokens)
            assert sum(parts) == one.prompt_tokens
            assert min(parts) >= 0
            assert one.found is None or one.found.behind_tokens == one.behind_tokens


def test_numbers_and_tables() -> None:
    explanation = cachelab.explain(PLANTED["a uuid"].plant(CHATS)[0])
    found = numbers(explanation)
    kinds = [kind for kind in CLASSES if kind != "different_task"]
    assert {name for name in found if name.endswith("_tokens")} == {f"breaks/{kind}_tokens" for kind in kinds}
    assert (
        found["breaks/id_or_number_tokens"]
        == explanation.behind_tokens
        == sum(value for name, value in found.items() if name.endswith("_tokens"))
    )
    assert found["losses/behind_a_break"] == explanation.behind_tokens / explanation.prompt_tokens
    assert found["explain/hit_rate_all_fixed"] == explanation.causes[0].hit_rate_alone.value  # type: ignore[union-attr]
    assert len(cause_table(explanation)["class"]) == 1
    table = request_table(explanation)
    assert len({len(column) for column in table.values()}) == 1
    assert sum(table["behind_tokens"]) == explanation.behind_tokens


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, cachelab; cachelab.explain([{'messages': [{'role': 'user', 'content': 'hi'}]}]); "
        "print(sorted({'vllm', 'torch', 'mlflow', 'matplotlib', 'transformers', 'hydra'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(DatasetError, match="the list is empty"):
        cachelab.explain([])
    with pytest.raises(DatasetError, match="calls: no call has messages"):
        cachelab.explain([{"prompt": "hi"}])
    call = {"messages": [{"role": "user", "content": "Hi."}]}
    with pytest.raises(DatasetError, match=r"calls\[1\]: no field holds messages"):
        cachelab.explain([call, {"prompt": "hi"}])
    with pytest.raises(DatasetError, match=r"calls\[1\]: messages is empty: leave the call out"):
        cachelab.explain([call, {"messages": []}])
    with pytest.raises(DatasetError, match=r"calls\[1\] is of type int: give a mapping with messages"):
        cachelab.explain([call, 3])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="block_size: 0 is less than 1"):
        cachelab.explain([call], block_size=0)
    with pytest.raises(ConfigError, match="num_blocks: 0 is less than 2, and vLLM keeps one block for itself"):
        cachelab.explain([call], num_blocks=0)


def test_prompts_without_history_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="explain: prompts without history do not break: set trace=multi_turn"):
        cachelab.run("experiment=explain", "trace=single_turn")
