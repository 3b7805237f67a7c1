"""Tokenises conversations, on all cores if there are many."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cachelab.conversation import Conversation, RecordedConversation
from cachelab.dataset.stored_conversations import StoredConversations
from cachelab.errors import TokenizerError
from cachelab.stage_progress import report
from cachelab.tokenized_conversation import TokenizedTurn
from cachelab.tokenizer.base import Tokenizer
from cachelab.tokens import AnyTokens, TokenIds

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

TOKENISING, TOKENISING_BYTES = "tokenising, conversations", "tokenising, bytes"
"""The stage that is reported: in bytes where the size of the texts is known."""

PARALLEL_FROM_BYTES = 64 << 20
"""Texts of this size are worth a process per core, which takes two to three seconds to start."""

AT_ONCE_BYTES = 1 << 20
"""Texts that a process gets at once."""

Row = dict[str, Any]
Texts = Sequence[Conversation | RecordedConversation]
Chunk = list[Conversation | RecordedConversation]


class Sizes(NamedTuple):
    """The sizes of what is stored of a turn. `alone` is -1 if it has no prompt without history."""

    kept: int
    new: int
    reply: int
    alone: int
    spans: int
    alone_spans: int

    @classmethod
    def of(cls, turn: TokenizedTurn) -> "Sizes":
        alone = -1 if turn.alone_ids is None else len(turn.alone_ids)
        spans = turn.new_spans.size, turn.alone_spans.size
        return cls(turn.kept_tokens, len(turn.new_ids), len(turn.reply_ids), alone, *spans)


def tokenized_rows(tokenizer: Tokenizer, conversations: Texts) -> Iterator[Row]:
    """One row per conversation, in the order of the dataset.

    `tokens`: of each turn the new ids of its prompt, then its reply, so that prompts are parts of it. `alone`: the
    prompts without history. `spans`: those of each turn, then those of its prompt without history. `sizes`: the Sizes
    of each turn. Raises TokenizerError that names the conversation.
    """
    if not isinstance(conversations, StoredConversations):
        for number, conversation in enumerate(conversations):
            report(TOKENISING, number, len(conversations))
            yield _row(tokenizer, conversation)
        return
    done, whole = 0, conversations.num_bytes
    with ExitStack() as stack:
        made: Iterable[list[Row]]
        encode = partial(_rows, replace(tokenizer) if is_dataclass(tokenizer) else tokenizer)
        workers = _workers(tokenizer, whole)
        if workers > 1:
            from concurrent.futures import ProcessPoolExecutor

            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(workers, context, initializer=_ignore_interrupts))
            stack.callback(pool.shutdown, cancel_futures=True)
            made = _in_order(pool, encode, _chunks(conversations), 2 * workers)
        else:
            made = map(encode, _chunks(conversations))
        number = 0
        for rows in made:
            report(TOKENISING_BYTES, done, whole)
            number += len(rows)
            done = conversations.end_of(number - 1)
            yield from rows


def _workers(tokenizer: object, num_bytes: int) -> int:
    """The number of processes. A tokenizer that is no dataclass may hold what another process cannot get."""
    alone = not is_dataclass(tokenizer) or multiprocessing.current_process().daemon
    return 1 if alone or num_bytes < PARALLEL_FROM_BYTES else len(os.sched_getaffinity(0))


def _chunks(conversations: StoredConversations) -> Iterator[Chunk]:
    chunk: Chunk = []
    start = 0
    for place, conversation in enumerate(conversations):
        chunk.append(conversation)
        if conversations.end_of(place) - start > AT_ONCE_BYTES:
            yield chunk
            chunk, start = [], conversations.end_of(place)
    if chunk:
        yield chunk


def _in_order(pool: "ProcessPoolExecutor", make: Any, chunks: Iterable[Chunk], most: int) -> Iterator[list[Row]]:
    """The rows of all chunks, in order; at most `most` chunks wait or are being made."""
    waiting: deque[Future[list[Row]]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(make, chunk))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _ignore_interrupts() -> None:
    """Ctrl+C reaches every process of the terminal: the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _rows(tokenizer: Tokenizer, conversations: Chunk) -> list[Row]:
    return [_row(tokenizer, conversation) for conversation in conversations]


def _row(tokenizer: Tokenizer, conversation: Conversation | RecordedConversation) -> Row:
    try:
        turns = conversation.tokenized(tokenizer).turns
    except TokenizerError as error:
        raise TokenizerError(f"conversation {conversation.id}: {error}") from error
    return {
        "tokens": _flat([ids for turn in turns for ids in (turn.new_ids, turn.reply_ids)]),
        "alone": _flat([turn.alone_ids for turn in turns if turn.alone_ids is not None]),
        "spans": _flat([spans.ravel() for turn in turns for spans in (turn.new_spans, turn.alone_spans)]),
        "sizes": np.asarray([Sizes.of(turn) for turn in turns], np.int32).ravel(),
    }


def _flat(arrays: Sequence[AnyTokens]) -> TokenIds:
    return np.concatenate([np.empty(0, np.int32), *arrays], dtype=np.int32)
