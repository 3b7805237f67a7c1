"""Writes requests as trace files and block traces, which `dataset=trace` and `dataset=block_trace` read."""

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cachelab.atomic import atomic_file
from cachelab.mapped_array import give_back
from cachelab.request import Request
from cachelab.tokens import BlockTokens, TokenIds

_NO_IDS = b'"hash_ids":[]'

_GIVE_BACK_AFTER = 4096
"""Requests after which the memory of their tokens is given back."""


def trace_rows(requests: Sequence[Request], tokenizer: str) -> Iterator[dict[str, Any]]:
    """One row per request, in order; `tokenizer` names the tokenizer that made the ids.

    A source without times has numbers as its timestamps, which are marked (`timestamp_recorded`).
    Only the prompt ids from `kept_tokens` on are stored. The others are in the row of the previous turn.
    """
    for number, request in enumerate(requests):
        if number % _GIVE_BACK_AFTER == 0:
            give_back(request.prompt_ids)  # of all requests, which are parts of one array
        known: dict[str, Any] = {} if request.isolation is None else {"isolation": asdict(request.isolation)}
        if request.think_s is not None:
            known["think_s"] = request.think_s
        if request.arrival_s is None:
            known["timestamp_recorded"] = False
        yield {
            "prompt": request.prompt,
            "response": request.response,
            "conversation_id": request.conversation_id,
            "turn_index": request.turn_index,
            "timestamp": request.timestamp_s,
            "tokenizer": tokenizer,
            "prompt_kept_tokens": request.kept_tokens,
            "prompt_new_token_ids": request.prompt_ids[request.kept_tokens :].tolist(),
            "response_token_ids": request.reply_ids.tolist(),
            **known,
        }


def block_trace_rows(requests: Sequence[Request]) -> Iterator[dict[str, Any]]:
    """One row per request of a block trace, in order. The ids are the numbers that cachelab gave the blocks."""
    for ids, row in _block_rows(requests):
        yield row | {"hash_ids": ids.tolist()}


def block_trace_lines(requests: Sequence[Request]) -> Iterator[bytes]:
    """These rows as lines of JSON, without a Python object per block."""
    from cachelab.export.id_text import LONGEST, write_ids

    text = np.empty(0, np.uint8)
    for ids, row in _block_rows(requests):
        if LONGEST * len(ids) > len(text):
            text = np.empty(2 * LONGEST * len(ids), np.uint8)
        written = text[: max(write_ids(ids, text) - 1, 0)].tobytes()  # without the last comma
        before, after = _json(row).split(_NO_IDS, 1)
        yield b"".join((before, _NO_IDS[:-1], written, b"]", after))


def _block_rows(requests: Sequence[Request]) -> Iterator[tuple[TokenIds, dict[str, Any]]]:
    """The blocks of each prompt, and its row without them."""
    numbers = {request.id: number for number, request in enumerate(requests)}
    for number, request in enumerate(requests):
        prompt, reply = request.prompt_ids, request.reply_ids
        if not isinstance(prompt, BlockTokens) or not isinstance(reply, BlockTokens):
            raise TypeError(f"request {request.id} is not of a block trace")
        if number % _GIVE_BACK_AFTER == 0:
            give_back(prompt.prompt_blocks)
        row: dict[str, Any] = {
            "timestamp": round(1000 * request.timestamp_s),
            "input_length": len(prompt),
            "output_length": len(reply),
            "hash_ids": [],
            "block_size": prompt.block_size,
        }
        known = reply.blocks[:-1] if reply.own is None else reply.blocks
        if len(known):
            row["output_hash_ids"] = known.tolist()
        if request.follows is not None or request.turn_index:
            row["parent_chat_id"] = numbers.get(request.follows or "", -1)
        row["chat_id"] = numbers[request.id]
        yield np.ascontiguousarray(prompt.prompt_blocks, np.int32), row


def write_trace(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write gzip JSON Lines atomically; equal rows make equal bytes. Raises StorageError if the disk is full."""
    write_lines(path, map(_json, rows))


def write_lines(path: Path, lines: Iterable[bytes], level: int = 4) -> None:
    """The same for lines without their ends; `level` is that of zlib."""
    # The gzip header has no file name and no time, so that equal traces are equal files.
    with (
        atomic_file(path, "name a file on another disk") as part,
        part.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=level, fileobj=raw, mtime=0) as file,
    ):
        for line in lines:
            file.write(line + b"\n")


def _json(row: dict[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode("ascii")
