"""Writes requests as a block trace, which `dataset=block_trace` reads back."""

from collections.abc import Iterator, Sequence
from typing import Any

from cachelab.request import Request
from cachelab.tokens import BlockTokens


def block_trace_rows(requests: Sequence[Request]) -> Iterator[dict[str, Any]]:
    """A row a request of a block trace, in their order, its ids as they were numbered."""
    numbers = {request.id: number for number, request in enumerate(requests)}
    for request in requests:
        prompt, reply = request.prompt_ids, request.reply_ids
        if not isinstance(prompt, BlockTokens) or not isinstance(reply, BlockTokens):
            raise TypeError(f"request {request.id} is not of a block trace")
        row: dict[str, Any] = {
            "timestamp": round(1000 * request.timestamp_s),
            "input_length": len(prompt),
            "output_length": len(reply),
            "hash_ids": prompt.prompt_blocks.tolist(),
            "block_size": prompt.block_size,
        }
        if len(reply.blocks) > 1:
            row["output_hash_ids"] = reply.blocks[:-1].tolist()
        if request.follows is not None or request.turn_index:
            row["parent_chat_id"] = numbers.get(request.follows or "", -1)
        row["chat_id"] = numbers[request.id]
        yield row
