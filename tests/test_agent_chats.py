"""Chat logs from the file to the hits: real agent sessions, and both readings of the same traffic."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachelab.conversation import AnyConversation, Conversation
from cachelab.dataset.auto import Auto
from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.chat import Chat
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.order.by_conversation import ByConversation
from cachelab.request import Schedule
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.mistral import Mistral
from cachelab.trace.multi_turn import MultiTurn
from chat_models import conversations, openai_message

Hits = list[tuple[int, int, int]]


def hits(dataset: LoadedDataset) -> Hits:
    """Prompt, cached and reply tokens of every request, on a large cache."""
    engine = ReplayEngine(num_blocks=100_000, max_model_len=None)
    records = engine.run(schedule_of(dataset.conversations), lambda ended: None).records
    return [(record.prompt_tokens, record.cached_tokens, record.reply_tokens) for record in records]


def schedule_of(conversations: Sequence[AnyConversation]) -> Schedule:
    """All turns, one conversation after another."""
    tokenizer = Mistral()
    made = [one if isinstance(one, TokenizedConversation) else one.tokenized(tokenizer) for one in conversations]
    return ByConversation().arrange(MultiTurn().build(made).requests)


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


@pytest.mark.parametrize(
    ("source", "block_size", "requests"),
    [
        ("tau_bench_airline_60.json", 16, 50),
        ("swe_agent", 16, 20),
        ("lmcache/taubench_2*.jsonl", 16, 42),
        ("aiperf_sessions.jsonl", 512, 5),
    ],
)
@pytest.mark.parametrize("num_blocks", [1_000, 20_000])
def test_real_source_simulated_as_replayed(
    agent_traces: Path, source: str, block_size: int, requests: int, num_blocks: int
) -> None:
    schedule = schedule_of(Auto(path=str(agent_traces / source)).load().conversations[:5])
    sizes: dict[str, Any] = {"block_size": block_size, "num_blocks": num_blocks, "max_model_len": None}
    sim = SimEngine(max_num_seqs=1, **sizes).run(schedule, lambda ended: None)
    replay = ReplayEngine(rules="vllm", **sizes).run(schedule, lambda ended: None)
    assert len(sim.records) == requests
    assert replay.records == sim.records
    assert sum(record.cached_tokens for record in sim.records) > 0
