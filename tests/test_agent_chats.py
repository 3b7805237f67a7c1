"""Chat logs from the file to the hits: real agent sessions, and both readings of the same traffic."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachelab.conversation import Conversation
from cachelab.dataset.auto import Auto
from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.chat import Chat
from cachelab.engine.replay import ReplayEngine
from cachelab.order.by_conversation import ByConversation
from cachelab.tokenizer.mistral import Mistral
from cachelab.trace.multi_turn import MultiTurn
from chat_models import conversations, openai_message

Hits = list[tuple[int, int, int]]


def hits(dataset: LoadedDataset) -> Hits:
    """Prompt, cached and reply tokens of every request, on a large cache."""
    tokenizer = Mistral()
    made = [one.tokenized(tokenizer) for one in dataset.conversations if isinstance(one, Conversation)]
    schedule = ByConversation().arrange(MultiTurn().build(made).requests)
    engine = ReplayEngine(num_blocks=100_000, max_model_len=None)
    records = engine.run(schedule, lambda ended: None).records
    return [(record.prompt_tokens, record.cached_tokens, record.reply_tokens) for record in records]


def as_requests(dataset: LoadedDataset) -> list[dict[str, Any]]:
    """Each turn as a gateway logs it: the messages sent and the response."""
    rows: list[dict[str, Any]] = []
    for conversation in dataset.conversations:
        assert isinstance(conversation, Conversation)
        for turn, messages in zip(conversation.turns, conversation.prompt_messages(), strict=True):
            assert turn.reply is not None
            sent = [openai_message(message) for message in messages]
            rows.append({"session_id": conversation.id, "messages": sent, "response": openai_message(turn.reply)})
            if turn.tools:
                rows[-1]["tools"] = turn.tools
    return rows


def as_lines(rows: list[dict[str, Any]], path: Path) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chats=st.lists(conversations(), min_size=1, max_size=3))
def test_rows_of_conversations_and_of_requests_give_the_same_hits(chats: list[Conversation], tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for number, chat in enumerate(chats):
        last = chat.turns[-1].reply
        assert last is not None
        messages = [openai_message(message) for message in (*chat.prompt_messages()[-1], last)]
        rows.append({"id": f"c{number}", "messages": messages, "tools": chat.turns[0].tools})
    whole = Chat(path=as_lines(rows, tmp_path / "whole.jsonl"), rows="conversation").load()
    calls = Chat(path=as_lines(as_requests(whole), tmp_path / "calls.jsonl"), rows="request").load()
    assert sum(len(one.turns) for one in whole.conversations) == sum(len(chat.turns) for chat in chats)
    assert hits(whole) == hits(calls)


def test_tau_bench_in_both_readings(agent_traces: Path, tmp_path: Path) -> None:
    whole = Auto(path=str(agent_traces / "tau_bench_airline_60.json")).load()
    calls = Chat(path=as_lines(as_requests(whole), tmp_path / "calls.jsonl")).load()
    found = hits(whole)
    assert (len(whole.conversations), len(found)) == (60, 703)
    assert sum(cached > 0 for _, cached, _ in found) > 640
    assert hits(calls) == found


@pytest.mark.parametrize(
    ("name", "requests"), [("marshmallow_function_calling", 11), ("function_calling_simple", 5), ("networking_1", 4)]
)
def test_swe_agent_trajectories(agent_traces: Path, name: str, requests: int) -> None:
    assert len(hits(Auto(path=str(agent_traces / "swe_agent" / f"{name}.traj")).load())) == requests
