"""The blocks of requests, as the rules count them, and what earlier requests left of each prompt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cachelab.errors import EngineError
from cachelab.mapped_array import give_back
from cachelab.prefix_cache.accesses import BlockAccesses, CountingRules, Int64s
from cachelab.prefix_cache.block_ids import BlockIds, Roots, concatenated
from cachelab.request import Request
from cachelab.tokens import AnyTokens, BlockTokens, TokenIds


@dataclass(frozen=True, slots=True, eq=False)
class RequestBlocks:
    """The block ids of requests in the order in which they run, and their accesses to a cache."""

    block_ids: BlockIds
    accesses: BlockAccesses


def number_blocks(
    requests: Sequence[Request], reply_tokens: Sequence[int], block_size: int, rules: CountingRules
) -> RequestBlocks:
    """The blocks of requests, given in the order in which they run, as the rules count them.

    `reply_tokens` are the generated tokens of each request; the KV of the last one is not computed. A block trace at
    its own block size is not expanded to tokens: each block is one number. Raises EngineError if a prompt lists no
    blocks and the rules are those of block traces.
    """
    prompt_tokens = np.fromiter((len(request.prompt_ids) for request in requests), np.int64, len(requests))
    roots = Roots.of(requests)
    if rules == "trace":
        block_ids = BlockIds.of([_listed(request, block_size) for request in requests], block_size, 1, roots)
        accesses = BlockAccesses.listed(block_ids.ids, block_ids.offsets, block_ids.num_ids, prompt_tokens, block_size)
        return RequestBlocks(block_ids, accesses)
    replies = np.maximum(np.asarray(reply_tokens, np.int64) - 1, 0)
    computed = prompt_tokens + replies
    if all(_in_blocks(request, block_size) for request in requests):
        full = (computed // block_size).tolist()
        numbers = [_numbers(request, blocks) for request, blocks in zip(requests, full, strict=True)]
        block_ids = BlockIds.of(numbers, block_size, 1, roots)
    else:
        pairs = zip(requests, replies.tolist(), strict=True)
        block_ids = BlockIds.of_pieces([_computed(request, reply) for request, reply in pairs], block_size, None, roots)
    accesses = BlockAccesses.vllm(block_ids.ids, block_ids.num_ids, prompt_tokens, computed, block_size)
    return RequestBlocks(block_ids, accesses)


def is_block_trace(requests: Iterable[Request]) -> bool:
    """Whether the requests come from a block trace."""
    return all(isinstance(request.prompt_ids, BlockTokens) for request in requests)


def trace_block_size(requests: Iterable[Request]) -> int | None:
    """The one block size of requests that list all blocks of their prompts; None for other requests."""
    sizes = {_listed_size(request) for request in requests}
    return sizes.pop() if len(sizes) == 1 else None


def seen_tokens(
    requests: Sequence[Request], reply_tokens: Sequence[int], block_size: int, rules: CountingRules
) -> Int64s:
    """Leading prompt tokens of each request that also start an earlier request's prompt and computed reply.

    Only requests with the same isolation share tokens. Block boundaries play no role. Of a block trace only whole
    blocks can be compared: two partial blocks are equal if their numbers are. int64, shape (num_requests,).
    """
    from cachelab.prefix_cache.kernels.radix import longest_known

    sequences: list[tuple[AnyTokens, ...]] = []
    is_asked: list[bool] = []
    roots: list[int] = []
    width = block_size if rules == "trace" or all(_in_blocks(request, block_size) for request in requests) else 1
    for request, reply, root in zip(requests, reply_tokens, Roots.of(requests).numbers.tolist(), strict=True):
        prompt = request.prompt_ids
        roots.append(root)
        if width == 1:
            sequences.append(_computed(request, max(reply - 1, 0)))
            is_asked.append(True)
            continue
        # A request looks up only its prompt; it leaves the prompt and the reply's blocks.
        assert isinstance(prompt, BlockTokens)
        sequences.append((_listed(request, block_size) if rules == "trace" else prompt.prompt_blocks,))
        is_asked.append(True)
        if rules == "vllm":
            sequences.append((_numbers(request, (len(prompt) + max(reply - 1, 0)) // block_size),))
            is_asked.append(False)
            roots.append(root)
    asked = np.asarray(is_asked, np.bool_)
    tokens, starts, lengths = concatenated(sequences)
    known, _ = longest_known(tokens, starts, lengths, np.where(asked, lengths, 0), np.asarray(roots, np.int64))
    give_back(tokens)
    known = known[asked]
    prompt_tokens = np.fromiter((len(request.prompt_ids) for request in requests), np.int64, len(requests))
    seen: Int64s = np.minimum(known * width, prompt_tokens)
    return seen


def _listed_size(request: Request) -> int | None:
    prompt = request.prompt_ids
    return prompt.block_size if isinstance(prompt, BlockTokens) and prompt.listed is not None else None


def _listed(request: Request, block_size: int) -> TokenIds:
    prompt = request.prompt_ids
    if not isinstance(prompt, BlockTokens) or prompt.listed is None or prompt.block_size != block_size:
        raise EngineError(
            f"request {request.id} lists no blocks of {block_size} tokens: set engine.rules=vllm, "
            "or use dataset=block_trace"
        )
    return prompt.listed


def _in_blocks(request: Request, block_size: int) -> bool:
    sequences = (request.prompt_ids, request.reply_ids)
    return all(isinstance(tokens, BlockTokens) and tokens.block_size == block_size for tokens in sequences)


def _numbers(request: Request, full_blocks: int) -> TokenIds:
    """One number per full block. The block that holds the prompt's end and the reply's start has the reply's number."""
    prompt, reply = request.prompt_ids, request.reply_ids
    assert isinstance(prompt, BlockTokens)
    assert isinstance(reply, BlockTokens)
    of_prompt = len(prompt) // prompt.block_size
    return np.concatenate([prompt.first_blocks(of_prompt), reply.first_blocks(max(full_blocks - of_prompt, 0))])


def _computed(request: Request, reply_tokens: int) -> tuple[AnyTokens, ...]:
    return (request.prompt_ids, request.reply_ids[:reply_tokens]) if reply_tokens else (request.prompt_ids,)
