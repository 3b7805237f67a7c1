"""ShareGPT's schema: every mess is decided and counted, every break is one line that names the place."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.conversation import Conversation
from cachelab.dataset.messages import COUNTS, parse_messages
from cachelab.errors import DatasetError
from workloads import reply_text, system_text, user_text

REAL = Path(__file__).resolve().parents[2] / "../shared/data/sharegpt_v3_sample_700.json"


def item(*messages: tuple[Any, Any], id: Any = "a") -> dict[str, Any]:
    return {"id": id, "conversations": [{"from": speaker, "value": value} for speaker, value in messages]}


def parsed(*items: dict[str, Any]) -> tuple[tuple[Conversation, ...], dict[str, int]]:
    """The conversations, and the counts that are not 0."""
    result = parse_messages(json.dumps(items), "chats.json")
    assert set(result.counts) == set(COUNTS)
    return tuple(result.conversations), {key: count for key, count in result.counts.items() if count}


def test_parse_clean_conversation() -> None:
    conversations, counts = parsed(item(("human", "Hi"), ("gpt", "Hello"), ("human", "Bye"), ("gpt", "Goodbye")))
    assert conversations == (Conversation.of_texts("a", [("Hi", "Hello"), ("Bye", "Goodbye")]),)
    assert counts == {"conversations": 1, "turns": 2, "messages": 4}


@pytest.mark.parametrize(
    ("messages", "turns", "system", "counted"),
    [
        pytest.param(
            [("gpt", "x"), ("gpt", "y"), ("human", "q"), ("gpt", "r")],
            [("q", "r")], None, {"dropped_leading_gpt": 2}, id="leading_gpt",
        ),
        pytest.param(
            [("system", "s"), ("system", "t"), ("human", "q"), ("gpt", "r"), ("system", "u")],
            [("q", "r")], "s\n\nt", {"system_messages": 2, "dropped_late_system": 1}, id="system",
        ),
        pytest.param(
            [("gpt", "x"), ("system", "s"), ("human", "q"), ("gpt", "r")],
            [("q", "r")], "s", {"system_messages": 1, "dropped_leading_gpt": 1}, id="system_after_leading_gpt",
        ),
        pytest.param(
            [("human", "q"), ("human", "p"), ("human", "o"), ("gpt", "r")],
            [("q\n\np\n\no", "r")], None, {"merged_human": 2}, id="humans_in_a_row",
        ),
        pytest.param(
            [("human", "q"), ("gpt", "r"), ("gpt", "s")],
            [("q", "r\n\ns")], None, {"merged_gpt": 1}, id="gpts_in_a_row",
        ),
        pytest.param(
            [("human", "q"), ("gpt", "r"), ("human", "p")],
            [("q", "r"), ("p", "")], None, {"turns_without_reply": 1}, id="no_reply",
        ),
        pytest.param(
            [("human", " \n"), ("gpt", None), ("human", "q"), ("gpt", "r"), ("gpt", "")],
            [("q", "r")], None, {"dropped_empty": 3}, id="empty",
        ),
        pytest.param(
            [("human", "q"), ("gpt", "r"), ("human", ""), ("gpt", "s")],
            [("q", "r\n\ns")], None, {"dropped_empty": 1, "merged_gpt": 1}, id="empty_between_two_gpts",
        ),
        pytest.param(
            [("human", "q"), ("tool", "x"), ("gpt", "r"), (7, "y"), (None, "z")],
            [("q", "r")], None, {"dropped_unknown_speaker": 3}, id="unknown_speaker",
        ),
        pytest.param(
            [("user", "q"), ("assistant", "r"), ("Human", "p"), ("bard", "s")],
            [("q", "r"), ("p", "s")], None, {"aliased_speakers": 4}, id="aliases",
        ),
        pytest.param(
            [("human", "a\ud83d"), ("gpt", "r")], [("a\ufffd", "r")], None, {"repaired_texts": 1}, id="half_surrogate",
        ),
    ],
)  # fmt: skip
def test_parse_mess_is_decided_and_counted(
    messages: list[tuple[Any, Any]], turns: list[tuple[str, str]], system: str | None, counted: dict[str, int]
) -> None:
    conversations, counts = parsed(item(*messages))
    assert conversations == (Conversation.of_texts("a", turns, system),)
    assert counts == {"conversations": 1, "turns": len(turns), "messages": len(messages)} | counted


def test_parse_missing_value_and_speaker_keys() -> None:
    broken = {"id": "a", "conversations": [{"from": "human"}, {"value": "x"}, {"from": "human", "value": "q"}]}
    conversations, counts = parsed(broken)
    assert conversations[0] == Conversation.of_texts("a", [("q", "")])
    assert (counts["dropped_empty"], counts["dropped_unknown_speaker"], counts["messages"]) == (1, 1, 3)


def test_parse_ids_become_unique() -> None:
    chat = ("human", "q"), ("gpt", "r")
    ids = ["x", "x#2", "x", "x", None, "  ", 12, "conversation_00005"]
    conversations, counts = parsed(*(item(*chat, id=id) for id in ids), {"conversations": item(*chat)["conversations"]})
    # The third and fourth x find #2 taken; the item at position 5 takes the name that the last id but one brings.
    expected = ["x", "x#2", "x#3", "x#4", "conversation_00005", "conversation_00006", "12", "conversation_00005#2"]
    assert [conversation.id for conversation in conversations] == [*expected, "conversation_00009"]
    assert counts["duplicate_ids"] == 3
    assert counts["missing_ids"] == 3


def test_parse_names_and_counts_fields_that_it_does_not_read() -> None:
    chat = {"id": "a", "model": "m", "conversations": [{"from": "human", "value": "q", "lang": "en", "a\nb": 1}]}
    result = parse_messages(json.dumps([chat, {**chat, "id": "b"}]), "chats.json")
    assert (result.counts["ignored_fields"], result.counts["ignored_values"]) == (3, 6)
    (note,) = result.notes
    assert note.startswith("fields of the dataset that were not read (how often): ")
    assert all(part in note for part in ("model (2)", "lang (2)", r"'a\nb' (2)"))
    many = parse_messages(json.dumps([chat | {f"f{i}": 1 for i in range(99)}]), "chats.json")
    assert many.counts["ignored_fields"] == 102
    assert many.notes[0].endswith(", 82 more")


def test_parse_conversation_without_human_is_dropped() -> None:
    dropped = item(("system", "s"), ("gpt", "x"), ("gpt", ""), ("tool", "y"), id="b")
    conversations, counts = parsed(dropped, item(id="c"), item(("human", "q")))
    assert [conversation.id for conversation in conversations] == ["a"]
    assert counts == {
        "conversations": 1, "turns": 1, "messages": 5, "turns_without_reply": 1, "conversations_without_human": 2,
        "dropped_without_human": 2, "dropped_empty": 1, "dropped_unknown_speaker": 1,
    }  # fmt: skip


SPEAKERS = st.sampled_from(["human", "gpt", "system", "user", "bing", "tool", "", None])


@given(st.lists(st.lists(st.tuples(SPEAKERS, st.sampled_from(["text", "text", "text", "", " ", None])), max_size=9)))
def test_parse_loses_no_message(chats: list[list[tuple[str | None, str | None]]]) -> None:
    # Each text is made unique, so that it can be found again; a first chat makes sure that one is left.
    all_chats = [list[tuple[str | None, str | None]]([("human", "text")]), *chats]
    numbered = [
        [(speaker, f"{value}-{i}-{j}-" if value == "text" else value) for j, (speaker, value) in enumerate(chat)]
        for i, chat in enumerate(all_chats)
    ]
    result = parse_messages(json.dumps([item(*chat, id=i) for i, chat in enumerate(numbered)]), "chats.json")
    texts = [text for c in result.conversations for turn in c.turns for text in (user_text(turn), reply_text(turn))]
    texts += [text for c in result.conversations if (text := system_text(c))]
    pieces = [piece for text in texts if text for piece in text.split("\n\n")]
    counts = result.counts
    assert len(pieces) == len(set(pieces))
    assert set(pieces) <= {value for chat in numbered for _, value in chat}
    assert counts["messages"] == sum(map(len, numbered))
    assert counts["messages"] == len(pieces) + sum(n for key, n in counts.items() if key.startswith("dropped_"))
    # A used message is a system one, or the first or a merged one of its side of a turn.
    sides = 2 * counts["turns"] - counts["turns_without_reply"]
    assert len(pieces) == counts["system_messages"] + sides + counts["merged_human"] + counts["merged_gpt"]
    assert counts["conversations"] + counts["conversations_without_human"] == len(numbered)
    assert all(reply_text(turn) for c in result.conversations for turn in c.turns[:-1])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param('[{"id": "a", "conv', ["truncated", "line 1 column 14"], id="truncated_in_text"),
        pytest.param('[{"id": "a",\n "conversations": []},', ["truncated", "line 2"], id="truncated_between_items"),
        pytest.param("[{'id': 1}]", ["not JSON", "line 1 column 3"], id="not_json"),
        pytest.param('{"id": 1}\n{"id": 2}', ["line 2 column 1", "dataset=trace"], id="json_lines"),
        pytest.param("[" * 100_000, ["nested too deeply"], id="nested"),
        pytest.param('[{"id": 1' + "0" * 5000 + "}]", ["not usable JSON"], id="huge_number"),
        pytest.param(
            '[{"conversations": []},\n {"id": [1, {"b": 1, "b": 2}]}]', ["item 1 (line 2)", "key 'b' appears twice"],
            id="duplicate_key",
        ),
        pytest.param('[{"id": "a", "id": "b"}]', ["item 0 (line 1)", "key 'id'"], id="duplicate_id_key"),
        pytest.param('\n{"id": "a", "id": "b"}', ["top-level object (line 2)", "key 'id'"], id="duplicate_in_object"),
        pytest.param('{"id": "a"}', ["top level is an object"], id="object"),
        pytest.param("null", ["top level is null"], id="null"),
        pytest.param("[]", ["array is empty"], id="empty_array"),
        pytest.param('[{"conversations": []}, 3]', ["item 1 is a number"], id="item_no_object"),
        pytest.param('[{"id": "a"}]', ["item 0", "no field conversations"], id="no_conversations"),
        pytest.param('[{"conversations": {}}]', ["item 0", "field conversations is an object"], id="not_a_list"),
        pytest.param('[{"conversations": ["hi"]}]', ["item 0", "conversations[0] is text"], id="message_no_object"),
        pytest.param(
            '[{"conversations": [{"from": "human", "value": 3}]}]', ["item 0", "conversations[0].value is a number"],
            id="value_number",
        ),
        pytest.param('[{"id": [], "conversations": []}]', ["item 0", "field id is an array"], id="id_array"),
        pytest.param('[{"id": "\\ud83d", "conversations": []}]', ["item 0", "field id"], id="id_half_surrogate"),
        pytest.param('[{"conversations": [{"from": "gpt", "value": "x"}]}]', ["none of 1"], id="no_human_at_all"),
    ],
)  # fmt: skip
def test_parse_broken_structure_is_one_line(text: str, parts: list[str]) -> None:
    with pytest.raises(DatasetError) as caught:
        parse_messages(text, "chats.json")
    message = str(caught.value)
    assert message.startswith("chats.json: ")
    assert "\n" not in message
    assert all(part in message for part in parts), message


@pytest.mark.skipif(not REAL.exists(), reason="the shared ShareGPT sample is not here")
def test_parse_real_sharegpt() -> None:
    result = parse_messages(REAL.read_text(encoding="utf-8"), "real.json")
    # By hand from the file: 700 conversations, 6 without a human message; 2,495 human + 2,727 gpt + 1 system messages,
    # 4 of the human ones blank. Each human message left begins a turn, none stands next to another.
    assert result.counts["conversations"] == 694
    assert result.counts["conversations_without_human"] == 6
    assert result.counts["messages"] == 5223
    assert result.counts["dropped_empty"] == 4
    assert result.counts["turns"] == 2491
    assert result.counts["system_messages"] == 1
    # 231 conversations start with a gpt message, some of them one of the 6.
    assert result.counts["dropped_leading_gpt"] == 227
