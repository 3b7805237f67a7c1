"""Requests made by hand or at random for tests of orders and engines."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cachelab.conversation import Conversation
from cachelab.message import Isolation, Message
from cachelab.prefix_cache.accesses import BlockAccesses
from cachelab.prefix_cache.block_ids import BlockIds
from cachelab.prefix_cache.request_blocks import number_blocks
from cachelab.request import Request, Schedule
from cachelab.turn import Turn


def user_text(turn: Turn) -> str:
    """The text of the turn's last message, the user's."""
    return turn.new_messages[-1].text


def reply_text(turn: Turn) -> str:
    """The text of the turn's reply."""
    assert turn.reply is not None
    return turn.reply.text


def system_text(conversation: Conversation) -> str | None:
    """The conversation's system text, None where there is none."""
    first = conversation.turns[0].new_messages[0]
    return first.text if first.role == "system" else None


def request(
    conversation: str,
    turn: int,
    prompt: Sequence[int],
    reply: Sequence[int],
    *,
    follows: bool | None = None,
    kept_tokens: int = 0,
) -> Request:
    """A request; turns after the first follow the one before unless told otherwise."""
    follows = turn > 0 if follows is None else follows
    return Request(
        id=f"{conversation}/{turn}",
        conversation_id=conversation,
        turn_index=turn,
        prompt_ids=np.asarray(prompt, dtype=np.int32),
        reply_ids=np.asarray(reply, dtype=np.int32),
        messages=(Message("user", f"message {turn}"),),
        recorded_reply=Message("assistant", f"reply {turn}"),
        timestamp_s=0.0,
        kept_tokens=kept_tokens,
        follows=f"{conversation}/{turn - 1}" if follows else None,
    )


def conversation(name: str, *turns: tuple[Sequence[int], Sequence[int]]) -> list[Request]:
    """The requests of a chat: each prompt is the history and the message."""
    requests: list[Request] = []
    context: list[int] = []
    for turn, (message, reply) in enumerate(turns):
        kept_tokens, context = len(context), [*context, *message]
        requests.append(request(name, turn, context, reply, kept_tokens=kept_tokens))
        context = [*context, *reply]
    return requests


def random_requests(
    seed: int,
    conversations: int,
    *,
    max_turns: int = 4,
    max_message: int = 40,
    max_reply: int = 40,
    vocabulary: int = 50,
) -> list[Request]:
    """Chats with random messages, some of which begin with a shared system text."""
    rng = random.Random(seed)
    system = [rng.randrange(vocabulary) for _ in range(24)]

    def tokens(most: int) -> list[int]:
        return [rng.randrange(vocabulary) for _ in range(rng.randint(1, most))]

    requests: list[Request] = []
    for index in range(conversations):
        opening = system if rng.random() < 0.5 else []
        turns = [(tokens(max_message), tokens(max_reply)) for _ in range(rng.randint(1, max_turns))]
        turns[0] = ([*opening, *turns[0][0]], turns[0][1])
        requests += conversation(f"c{index}", *turns)
    return requests


def vllm_paths(pairs: Sequence[tuple[list[int], list[int]]], block_size: int) -> BlockAccesses:
    """The accesses of independent prompts and replies by vLLM's rules."""
    requests = [request(f"c{index}", 0, prompt, reply) for index, (prompt, reply) in enumerate(pairs)]
    return number_blocks(requests, [len(reply) for _, reply in pairs], block_size, "vllm").accesses


def trace_paths(listed: Sequence[list[int]], block_size: int = 4, spare: Sequence[int] | None = None) -> BlockAccesses:
    """The accesses of the listed blocks of prompts by the rules of traces; `spare`: tokens that the last one lacks."""
    block_ids = BlockIds.of([np.asarray(ids, np.int32) for ids in listed], block_size, width=1)
    tokens = np.asarray([len(ids) * block_size for ids in listed]) - (0 if spare is None else np.asarray(spare))
    return BlockAccesses.listed(block_ids.ids, block_ids.offsets, block_ids.num_ids, tokens, block_size)


ISOLATIONS = (
    None,
    Isolation("salt"),
    Isolation("other"),
    Isolation(lora="salt"),
    Isolation(model="salt"),
    Isolation("salt", "lora", "model"),
)
"""No two of them may share a block."""


def isolated(requests: Sequence[Request], seed: int) -> list[Request]:
    """The requests, each with an isolation drawn at random."""
    rng = random.Random(seed)
    return [replace(entry, isolation=rng.choice(ISOLATIONS)) for entry in requests]


def one_lane(requests: Sequence[Request]) -> Schedule:
    """One request after another."""
    return Schedule(((tuple(requests),),))


class RecordedOnlyEngine:
    """An engine that has no say in whose replies the prompts repeat."""

    name = "recorded only"
