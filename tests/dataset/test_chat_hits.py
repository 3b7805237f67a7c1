"""The same traffic logged as conversations and as API calls gives the same hits."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.dataset.chat import COUNTS, Chat, ChatLog
from cachelab.engine.replay import ReplayEngine
from cachelab.order.by_arrival import ByArrival
from cachelab.request import RequestRecord
from cachelab.tokenizer.mistral import Mistral
from cachelab.trace.multi_turn import MultiTurn

# Few texts, some of them several blocks long, so that conversations share prefixes and diverge at any place.
TEXT = st.sampled_from(["a", "b", "one two three four five six seven", "one two three four five six eight " * 3])
TALK = st.tuples(
    st.sampled_from([None, "be kind", "be brief, and be kind to all " * 2]),
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5),
)
TRAFFIC = st.lists(TALK, min_size=1, max_size=5)


def records(log: Sequence[dict[str, Any]], num_blocks: int, rows: Any) -> list[RequestRecord]:
    """What replay reports for the log's requests, by arrival."""
    reader = ChatLog(Chat(path="x", rows=rows), Counter(dict.fromkeys(COUNTS, 0)))
    conversations = reader.read((f"x: line {line}", row) for line, row in enumerate(log, start=1))
    tokenizer = Mistral()
    requests = MultiTurn().build([conversation.tokenized(tokenizer) for conversation in conversations]).requests
    engine = ReplayEngine(block_size=4, max_model_len=None, num_blocks=num_blocks, rules="vllm")
    return list(engine.run(ByArrival().arrange(requests), lambda ended: None).records)


@pytest.mark.parametrize("num_blocks", [40, 10_000])
@settings(max_examples=60)
@given(traffic=TRAFFIC, with_ids=st.booleans(), random=st.randoms(use_true_random=False))
def test_conversations_and_calls_give_the_same_hits(
    traffic: list[tuple[str | None, list[tuple[str, str]]]], num_blocks: int, with_ids: bool, random: Any
) -> None:
    waiting = [[number] * len(exchanges) for number, (_, exchanges) in enumerate(traffic)]
    talks: list[list[dict[str, Any]]] = [
        [] if system is None else [{"role": "system", "content": system}] for system, _ in traffic
    ]
    calls: list[dict[str, Any]] = []
    while left := [numbers for numbers in waiting if numbers]:
        number = random.choice(left).pop()
        second = 1_700_000_000 + len(calls)
        talk = talks[number]
        user, assistant = traffic[number][1][sum(message["role"] == "user" for message in talk)]
        talk.append({"role": "user", "content": user, "timestamp": second})
        reply = {"role": "assistant", "content": assistant}
        call = {"messages": list(talk), "response": reply, "timestamp": second}
        calls.append({**call, "session_id": f"talk {number}"} if with_ids else call)
        talk.append(reply)
    whole = [{"messages": talk, "id": f"talk {number}"} for number, talk in enumerate(talks)]
    random.shuffle(whole)
    expected, found = records(whole, num_blocks, "conversation"), records(calls, num_blocks, "request")
    if with_ids:
        assert found == expected
    sizes = [
        [(record.prompt_tokens, record.cached_tokens, record.outcome) for record in made] for made in (found, expected)
    ]
    assert sizes[0] == sizes[1]
    assert len(found) == len(calls)


def test_hits_are_counted_in_the_traffic_of_the_property() -> None:
    # So that the property cannot hold for want of hits: the second call repeats the first's prompt and reply.
    long = "one two three four five six seven " * 4
    talk = [{"role": role, "content": long} for role in ("user", "assistant", "user", "assistant")]
    calls = [{"messages": talk[:end], "response": talk[end]} for end in (1, 3)]
    assert [record.cached_tokens > 0 for record in records(calls, 10_000, "auto")] == [False, True]
