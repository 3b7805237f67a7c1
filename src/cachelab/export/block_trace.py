"""Exports a workload as an anonymised block trace: which blocks are equal, but no text and no tokens."""

import hashlib
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.export.trace_writer import write_trace
from cachelab.prefix_cache.block_ids import ROOT
from cachelab.prefix_cache.request_blocks import number_blocks
from cachelab.request import Schedule
from cachelab.strict_config import STRICT, Count, FilePath

log = logging.getLogger(__name__)


@dataclass(frozen=True, config=STRICT)
class BlockTraceExport:
    """Writes Mooncake's schema as gzip JSON Lines, which `dataset=block_trace` reads.

    Fields of a row: `timestamp` (ms from the first request), `input_length`, `output_length`, `hash_ids` (one id per
    block; the last block may be partial), `block_size`, `chat_id`, `parent_chat_id` (-1: none) and `output_hash_ids`
    (the blocks after the prompt's last full block that the reply completes; without them the reuse of replies by later
    turns is lost). An id is 63 bits of a keyed hash of a block and its ancestors. Without a `salt` a random one is used
    and not stored, so that nobody can search for a known text. Exports with the same salt have the same ids for the
    same blocks.
    """

    path: FilePath
    block_size: Count = 16
    salt: Annotated[str, Field(min_length=16, max_length=64)] | None = None

    def write(self, schedule: Schedule) -> None:
        """Write the requests in the schedule's order. Raises ConfigError if the file cannot be written."""
        salt = secrets.token_bytes(32) if self.salt is None else self.salt.encode()
        if len(salt) > hashlib.blake2b.MAX_KEY_SIZE:
            raise ConfigError(f"export.salt: longer than {hashlib.blake2b.MAX_KEY_SIZE} bytes: shorten it")
        path = Path(self.path).expanduser()
        try:
            write_trace(path, self.rows(schedule, salt))
        except OSError as error:
            raise ConfigError(
                f"export.path: {path}: {error.strerror or error}: name a file that can be written"
            ) from error
        log.info("export: %d requests as a block trace in %s", len(schedule), path)

    def rows(self, schedule: Schedule, salt: bytes) -> Iterator[dict[str, Any]]:
        """One row per request."""
        requests = list(schedule)
        blocks = number_blocks(requests, [len(request.reply_ids) for request in requests], self.block_size, "vllm")
        digests = blocks.block_ids.digests(range(blocks.block_ids.num_ids))
        names = {block: _named(bytes.fromhex(digest), salt) for block, digest in digests.items()}
        numbers = {request.id: number for number, request in enumerate(requests)}
        start_s = min((request.timestamp_s for request in requests), default=0.0)
        for index, (request, chain) in enumerate(zip(requests, blocks.block_ids.per_sequence, strict=True)):
            full, partial = divmod(len(request.prompt_ids), self.block_size)
            ids = [names[block] for block in chain.tolist()]
            listed = ids[:full]
            if partial:
                parent = digests[int(chain[full - 1])] if full else blocks.block_ids.root_digest(index)
                tokens = np.asarray(request.prompt_ids)[-partial:].astype("<i4").tobytes()
                listed = [*listed, _named(bytes.fromhex(parent) + tokens, salt)]
            yield {
                "timestamp": round(1000 * (request.timestamp_s - start_s)),
                "input_length": len(request.prompt_ids),
                "output_length": len(request.reply_ids),
                "hash_ids": listed,
                "block_size": self.block_size,
                "chat_id": numbers[request.id],
                "parent_chat_id": numbers.get(request.follows or "", ROOT),
                "output_hash_ids": ids[full:],
            }


def _named(content: bytes, salt: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, key=salt, digest_size=8).digest(), "big") >> 1
