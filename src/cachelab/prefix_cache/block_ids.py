"""Block ids: integers that are equal only if all tokens up to the end of the block are equal.

Requests with different isolation (message.Isolation) have different roots and share no block.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cachelab.errors import EngineError
from cachelab.prefix_cache.accesses import BlockAccesses, CountingRules, Int32s, Int64s
from cachelab.request import Request
from cachelab.tokens import AnyTokens, BlockTokens, TokenIds

ROOT = -1
_DIGEST_BYTES = 16


@dataclass(frozen=True, eq=False)
class BlockIds:
    """The block ids of token sequences. Two blocks have the same id only if they and all their ancestors are equal.

    `ids`: int32, shape (num_blocks,); sequence i has `ids[offsets[i]:offsets[i + 1]]`. `offsets`: int64, shape
    (num_sequences + 1,). `parents`: int32, shape (num_ids,): the id of each block's parent, always the smaller of the
    two; ROOT for a first block. `where`: int64, shape (num_ids,): the index in `tokens` of each block's first token.
    `tokens`: int32: all sequences, `width` tokens per block. A block is these tokens repeated up to `block_size`.
    `roots`: the sequences' roots; the parent of a first block is ROOT - root.
    """

    ids: Int32s
    offsets: Int64s
    parents: Int32s
    where: Int64s
    tokens: Int32s
    width: int
    block_size: int
    roots: "Roots"

    @classmethod
    def of(
        cls,
        sequences: Sequence[AnyTokens],
        block_size: int,
        width: int | None = None,
        roots: "Roots | None" = None,
    ) -> "BlockIds":
        """The ids of the full blocks of the sequences, in the order of the sequences.

        With `width` the sequences hold only the first `width` tokens of each block, which the block repeats.
        Without `roots` all sequences have the root of requests without isolation.
        """
        return cls.of_pieces([(sequence,) for sequence in sequences], block_size, width, roots)

    @classmethod
    def of_pieces(
        cls,
        sequences: Sequence[tuple[AnyTokens, ...]],
        block_size: int,
        width: int | None = None,
        roots: "Roots | None" = None,
    ) -> "BlockIds":
        """The same for sequences that consist of pieces."""
        from cachelab.prefix_cache.kernels.interning import intern

        width = width or block_size
        tokens, starts, lengths = concatenated(sequences)
        roots = roots or Roots.same(len(sequences))
        ids, offsets, parents, where = intern(tokens, starts, lengths, width, roots.numbers)
        return cls(ids, offsets, parents, where, tokens, width, block_size, roots)

    @property
    def num_ids(self) -> int:
        return len(self.parents)

    @cached_property
    def per_sequence(self) -> Sequence[Int32s]:
        """The ids of each sequence, each of shape (num_blocks_of_the_sequence,)."""
        return np.split(self.ids, self.offsets[1:-1]) if len(self.offsets) > 1 else []

    def digests(self, blocks: Iterable[int]) -> Mapping[int, str]:
        """Names of the blocks and of their ancestors: 32 hex digits of a chained SHA-256, equal in every process."""
        digests = {ROOT - number: _root_digest(salt) for number, salt in enumerate(self.roots.salts)}
        for block in blocks:
            lineage = []
            while block not in digests:
                lineage.append(block)
                block = int(self.parents[block])
            for descendant in reversed(lineage):
                parent = digests[int(self.parents[descendant])]
                digests[descendant] = hashlib.sha256(parent + self._content(descendant)).digest()
        return {block: digest[:_DIGEST_BYTES].hex() for block, digest in digests.items() if block >= 0}

    def root_digest(self, sequence: int) -> str:
        """What stands for the parent of a sequence's first block: "" without isolation, else 32 hex digits."""
        return _root_digest(self.roots.salts[int(self.roots.numbers[sequence])])[:_DIGEST_BYTES].hex()

    def _content(self, block: int) -> bytes:
        start = int(self.where[block])
        tokens = self.tokens[start : start + self.width].astype("<i4", copy=False).tobytes()
        return tokens * (self.block_size // self.width)


@dataclass(frozen=True, slots=True, eq=False)
class Roots:
    """The root of each sequence, as an index into `salts`. Root 0 is that without isolation.

    Shape of numbers: (num_sequences,).
    """

    numbers: Int64s
    salts: tuple[str | None, ...] = (None,)

    @classmethod
    def of(cls, requests: Sequence[Request]) -> "Roots":
        """A root for each isolation of the requests."""
        found: dict[str | None, int] = {None: 0}
        salts = (request.isolation.salt if request.isolation else None for request in requests)
        numbers = [found.setdefault(salt, len(found)) for salt in salts]
        return cls(np.asarray(numbers, np.int64), tuple(found))

    @classmethod
    def same(cls, sequences: int) -> "Roots":
        """The root without isolation for all sequences."""
        return cls(np.zeros(sequences, np.int64))


def _root_digest(salt: str | None) -> bytes:
    return b"" if salt is None else hashlib.sha256(salt.encode()).digest()


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
    its own block size is not expanded to tokens: one number stands for a block. Raises EngineError if a prompt lists no
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


def concatenated(sequences: Sequence[tuple[AnyTokens, ...]]) -> tuple[TokenIds, Int64s, Int64s]:
    """All sequences as one int32 array, and the start and the length of each. Shape of these: (num_sequences,)."""
    lengths = np.fromiter((sum(map(len, pieces)) for pieces in sequences), np.int64, len(sequences))
    all_pieces = [piece for pieces in sequences for piece in pieces]
    tokens = np.concatenate(all_pieces, dtype=np.int32) if all_pieces else np.empty(0, np.int32)
    return tokens, np.cumsum(lengths) - lengths, lengths


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
    known = known[asked]
    prompt_tokens = np.fromiter((len(request.prompt_ids) for request in requests), np.int64, len(requests))
    seen: Int64s = np.minimum(known * width, prompt_tokens)
    return seen
