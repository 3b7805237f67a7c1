"""Every number of the stages before the engine, against a brute-force count of the same random input."""

import json
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.conversation import RecordedConversation
from cachelab.dataset.block_trace import BlockTrace
from cachelab.dataset.messages import parse_messages
from cachelab.dataset.trace_file import parse_trace
from cachelab.filter.thresholds import REASONS, Thresholds
from cachelab.message import Message
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.trace.multi_turn import MultiTurn
from cachelab.trace.single_turn import SingleTurn
from cachelab.turn import RecordedTurn, Turn

ID = st.integers(0, 6) | st.integers(1000, 1006) | st.sampled_from([2**40, 2**63, 2**64 - 1, "a", "7"])
CHAT = st.sampled_from([None, -1, 1, 2, 3, "x"])


@st.composite
def block_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        ids = draw(st.lists(ID, min_size=1, max_size=4))
        prompt = 4 * len(ids) - draw(st.integers(0, 3))
        reply = draw(st.integers(0, 9))
        row: dict[str, Any] = {"input_length": prompt, "output_length": reply, "hash_ids": ids}
        if draw(st.booleans()):
            row["output_hash_ids"] = draw(st.lists(ID, max_size=(prompt + reply) // 4 - prompt // 4))
        if draw(st.booleans()):
            row |= {"chat_id": draw(CHAT), "parent_chat_id": draw(CHAT)}
        row |= dict.fromkeys(draw(st.sets(st.sampled_from(["session_id", "delay"]))), 1)
        rows.append(row)
    return rows


@given(block_rows(), st.lists(st.booleans(), min_size=8, max_size=8))
def test_numbers_of_a_block_trace(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], bad: list[bool]
) -> None:
    for index, row in enumerate(rows):  # a parent that comes later is refused: none of these does
        if row.get("parent_chat_id") in [later.get("chat_id") for later in rows[index:]]:
            row["parent_chat_id"] = None
    text = "".join(
        json.dumps(row) + "\n" + '{"input_length": 0}\n' * is_bad for row, is_bad in zip(rows, bad, strict=False)
    )
    path = tmp_path_factory.mktemp("trace") / "t.jsonl"
    path.write_text(text)
    ignored = ["session_id", "delay"]
    counts = BlockTrace(path=str(path), block_size=4, on_bad_row="skip", ignore_fields=ignored).load().counts

    def last_row_of(chat: object, before: int) -> int | None:
        return max((at for at in range(before) if rows[at].get("chat_id") == chat), default=None)

    none = (None, -1)
    parents = [(at, row["parent_chat_id"]) for at, row in enumerate(rows) if row.get("parent_chat_id") not in none]
    continued = [last_row_of(parent, at) for at, parent in parents]
    found = [at for at in continued if at is not None]
    chats = [row["chat_id"] for row in rows if row.get("chat_id") not in none]
    left_out = [key for row in rows for key in row if key in ignored]
    assert counts == {
        "conversations": len(rows) - len(set(found)),
        "turns": len(rows),
        "bad_rows": sum(bad[: len(rows)]),
        "listed_blocks": sum(len(row["hash_ids"]) for row in rows),
        "distinct_blocks": len({id for row in rows for id in row["hash_ids"] + row.get("output_hash_ids", [])}),
        "missing_parents": continued.count(None),
        "branches": len(found) - len(set(found)),
        "sessions": 0,
        "duplicate_chats": sum(last_row_of(chat, at) is not None for at, chat in enumerate_chats(rows)),
        "ignored_fields": len(set(left_out)),
        "ignored_values": len(left_out),
    }
    assert counts["duplicate_chats"] == len(chats) - len(set(chats))


def enumerate_chats(rows: list[dict[str, Any]]) -> list[tuple[int, Any]]:
    return [(at, row["chat_id"]) for at, row in enumerate(rows) if row.get("chat_id") not in (None, -1)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.sets(st.sampled_from("xyz"))), min_size=1))
def test_numbers_of_a_trace_file(spec: list[tuple[str, bool, set[str]]]) -> None:
    rows: list[dict[str, Any]] = []
    for chat, exact, further in spec:
        turn = sum(row["conversation_id"] == chat for row in rows)
        row = {"prompt": "p", "response": "r", "conversation_id": chat, "turn_index": turn, "timestamp": 0.5}
        if exact:
            row |= {"tokenizer": "t", "prompt_kept_tokens": 0, "prompt_new_token_ids": [1], "response_token_ids": []}
        rows.append(row | dict.fromkeys(further, None))
    assert parse_trace("\n".join(map(json.dumps, rows)), "t.jsonl").counts == {
        "conversations": len({chat for chat, _, _ in spec}),
        "turns": len(spec),
        "turns_with_token_ids": sum(exact for _, exact, _ in spec),
        "ignored_fields": len(set().union(*(further for _, _, further in spec))),
        "ignored_values": sum(len(further) for _, _, further in spec),
    }


ALIASES = {"user": "human", "bing": "gpt", "GPT": "gpt"}
SPEAKER = st.sampled_from(["human", "gpt", "human", "gpt", "system", "user", "bing", "GPT", "tool", None])
MESSAGE = st.fixed_dictionaries(
    {"from": SPEAKER, "value": st.sampled_from(["text", "text", "text", "", " \n", None, "\ud800"])},
    optional={"lang": st.none()},
)
ITEM = st.fixed_dictionaries(
    {"conversations": st.lists(MESSAGE, max_size=8)},
    optional={"id": st.sampled_from(["a", "b", " "]), "model": st.none()},
)


@given(st.lists(ITEM))
def test_numbers_of_messages(items: list[dict[str, Any]]) -> None:
    items = [{"id": "first", "conversations": [{"from": "human", "value": "text"}]}, *items]
    expected = dict.fromkeys(parse_messages(json.dumps(items[:1]), "chats.json").counts, 0)
    keys = [key for item in items for key in item if key == "model"]
    keys += [key for item in items for message in item["conversations"] for key in message if key == "lang"]
    expected |= {"ignored_fields": len(set(keys)), "ignored_values": len(keys)}
    ids: list[str | None] = []
    for item in items:
        messages = [(message["from"], message["value"]) for message in item["conversations"]]
        filled = [(speaker, text) for speaker, text in messages if text and text.strip()]
        known = [ALIASES.get(speaker, speaker) for speaker, _ in filled if speaker not in ("tool", None)]
        expected["messages"] += len(messages)
        expected["dropped_empty"] += len(messages) - len(filled)
        expected["dropped_unknown_speaker"] += len(filled) - len(known)
        expected["aliased_speakers"] += sum(speaker in ALIASES for speaker, _ in filled)
        expected["repaired_texts"] += sum(
            text == "\ud800" and speaker not in ("tool", None) for speaker, text in filled
        )
        if "human" not in known:
            expected["conversations_without_human"] += 1
            expected["dropped_without_human"] += len(known)
            continue
        before, after = known[: known.index("human")], known[known.index("human") :]
        expected["system_messages"] += before.count("system")
        expected["dropped_leading_gpt"] += before.count("gpt")
        expected["dropped_late_system"] += after.count("system")
        runs = [(speaker, len(list(run))) for speaker, run in groupby(one for one in after if one != "system")]
        for speaker in ("human", "gpt"):
            expected[f"merged_{speaker}"] += sum(length - 1 for of, length in runs if of == speaker)
        expected["turns"] += sum(speaker == "human" for speaker, _ in runs)
        expected["turns_without_reply"] += runs[-1][0] == "human"
        ids.append(item.get("id", "").strip() or None)
    given = [id for id in ids if id]
    expected |= {
        "conversations": len(ids),
        "missing_ids": ids.count(None),
        "duplicate_ids": len(given) - len(set(given)),
    }
    assert parse_messages(json.dumps(items), "chats.json").counts == expected


LIMIT = st.none() | st.integers(1, 5)
RULE = st.fixed_dictionaries(
    {
        "max_turns": LIMIT, "max_prompt_tokens": LIMIT, "max_conversations": LIMIT, "max_requests": LIMIT,
        "keep": st.sampled_from(["whole", "prefix"]),
    }
)  # fmt: skip


@given(st.lists(st.lists(st.integers(1, 6), max_size=5)), RULE, st.integers(1, 3))
def test_numbers_of_the_filter(chats: list[list[int]], rule: dict[str, Any], min_turns: int) -> None:
    if rule["max_turns"] is not None:
        min_turns = min(min_turns, rule["max_turns"])
    conversations = [
        TokenizedConversation(
            str(at), tuple(TokenizedTurn(0, np.ones(n, np.int32), np.ones(1, np.int32)) for n in prompts)
        )
        for at, prompts in enumerate(chats)
    ]
    # Turn by turn: `fits` is how many first turns are allowed, `reason` is what forbids one more.
    expected = dict.fromkeys((f"dropped_{reason}" for reason in REASONS), 0)
    kept: list[tuple[int, int]] = []
    closed = None
    for at, prompts in enumerate(chats):
        if len(prompts) < min_turns:
            expected["dropped_min_turns"] += 1
            continue
        fits, reason = 0, None
        for prompt in prompts:
            if rule["max_turns"] is not None and fits == rule["max_turns"]:
                reason = "max_turns"
            if rule["max_prompt_tokens"] is not None and prompt > rule["max_prompt_tokens"] and reason is None:
                reason = "max_prompt_tokens"
            if reason:
                break
            fits += 1
        if fits < len(prompts) and (rule["keep"] == "whole" or fits < min_turns):
            expected[f"dropped_{reason}"] += 1
            continue
        if closed is None and rule["max_conversations"] is not None and len(kept) == rule["max_conversations"]:
            closed = "max_conversations"
        if closed is not None:
            expected[f"dropped_{closed}"] += 1
            continue
        room = fits if rule["max_requests"] is None else rule["max_requests"] - sum(turns for _, turns in kept)
        if fits > room:
            closed = "max_requests"
            if rule["keep"] == "whole" or room < min_turns:
                expected["dropped_max_requests"] += 1
                continue
            fits = room
        kept.append((at, fits))
    cut = [len(chats[at]) - turns for at, turns in kept]
    tokens = sum(sum(chats[at][:turns]) for at, turns in kept)
    expected |= {
        "conversations_kept": len(kept),
        "requests_kept": sum(turns for _, turns in kept),
        "conversations_cut": sum(turns > 0 for turns in cut),
        "turns_cut": sum(cut),
    }
    all_tokens = sum(map(sum, chats))
    share = {"tokens_kept_share": tokens / all_tokens} if all_tokens else {}
    filtered = Thresholds(min_turns=min_turns, **rule).apply(conversations)
    assert [(int(one.id), len(one.turns)) for one in filtered.kept] == kept
    assert filtered.numbers == {**expected, **share}


class Letters:
    """One token per character."""

    name = "letters"

    def encode_text(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def encode_chat(self, conversation: Any) -> Any:
        raise NotImplementedError


WORD = st.text("ab", max_size=3)


@given(st.lists(st.lists(st.tuples(st.booleans(), WORD, WORD), min_size=1, max_size=4), min_size=1, max_size=4))
def test_numbers_of_the_trace(chats: list[list[tuple[bool, str, str]]]) -> None:
    recorded = []
    for at, spec in enumerate(chats):
        turns: list[RecordedTurn] = []
        for goes_on, prompt, reply in spec:
            history = turns[-1].prompt + turns[-1].response if turns and goes_on else ""
            turns.append(RecordedTurn(history + prompt, reply, 0.0))
        recorded.append(RecordedConversation(str(at), tuple(turns)))
    breaks = sum(
        not now.prompt.startswith(before.prompt + before.response)
        for one in recorded
        for before, now in zip(one.turns, one.turns[1:], strict=False)
    )
    turns = [turn for one in recorded for turn in one.turns]
    expected = {
        "requests": len(turns),
        "conversations": len(chats),
        "prompt_tokens": sum(len(turn.prompt) for turn in turns),
        "reply_tokens": sum(len(turn.response) for turn in turns),
        "prefix_breaks": breaks,
    }
    assert MultiTurn().build([one.tokenized(Letters()) for one in recorded]).numbers == expected


@given(st.lists(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=4), min_size=1, max_size=4))
def test_numbers_of_single_turns(chats: list[list[tuple[str, str]]]) -> None:
    def ids(text: str) -> Any:
        return np.asarray([ord(character) for character in text], np.int32)

    conversations = [
        TokenizedConversation(
            str(at),
            tuple(
                TokenizedTurn(
                    0,
                    ids("history" + user),
                    ids(reply),
                    ids(user),
                    source=Turn(0, (Message("user", user),), Message("assistant", reply)),
                )
                for user, reply in chat
            ),
        )
        for at, chat in enumerate(chats)
    ]
    said = [message for chat in chats for message in chat]
    assert SingleTurn().build(conversations).numbers == {
        "requests": len(said),
        "conversations": len(chats),
        "prompt_tokens": sum(len(user) for user, _ in said),
        "reply_tokens": sum(len(reply) for _, reply in said),
    }


@given(block_rows())
def test_numbers_of_the_trace_of_a_block_trace(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("trace") / "t.jsonl"
    names = ["session_id", "delay", "chat_id", "parent_chat_id"]
    path.write_text("\n".join(map(json.dumps, rows)))
    loaded = BlockTrace(path=str(path), block_size=4, ignore_fields=names).load()
    assert MultiTurn().build(loaded.conversations).numbers == {  # type: ignore[arg-type]
        "requests": len(rows),
        "conversations": len(rows),
        "prompt_tokens": sum(row["input_length"] for row in rows),
        "reply_tokens": sum(row["output_length"] for row in rows),
    }
