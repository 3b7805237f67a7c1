"""The longest prefix that each prompt shares with an earlier request's prompt and reply, and which request that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cachelab.prefix_cache.accesses import Int64s
from cachelab.prefix_cache.block_ids import concatenated
from cachelab.request import Request
from cachelab.tokens import TokenIds


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """The prompts of requests, each with the reply behind it, as one array of tokens.

    int64, shape of `starts`, `lengths` and `prompts`: (num_requests,). `lengths` are those of prompt and reply,
    `prompts` of the prompt alone.
    """

    tokens: TokenIds
    starts: Int64s
    lengths: Int64s
    prompts: Int64s

    @classmethod
    def of(cls, requests: Sequence[Request], reply_tokens: Sequence[int]) -> "Texts":
        """The texts of requests, given in the order in which they run; `reply_tokens` were generated for each."""
        pieces = [
            (request.prompt_ids, request.reply_ids[:reply])
            for request, reply in zip(requests, reply_tokens, strict=True)
        ]
        prompts = np.fromiter((len(request.prompt_ids) for request in requests), np.int64, len(requests))
        return cls(*concatenated(pieces), prompts)


@dataclass(frozen=True, slots=True, eq=False)
class SharedPrefixes:
    """For each prompt: how many of its first tokens an earlier text also starts with, and the latest such text.

    `tokens`: int64, shape (num_requests,). `earlier`: int64, shape (num_requests,), an index; -1 if `tokens` is 0.
    """

    tokens: Int64s
    earlier: Int64s

    @classmethod
    def of(cls, texts: Texts, roots: Sequence[int]) -> "SharedPrefixes":
        """The prefixes shared with earlier texts that have the same root (any number from 0)."""
        from cachelab.prefix_cache.kernels.radix import longest_known

        numbers = np.asarray(roots, np.int64)
        return cls(*longest_known(texts.tokens, texts.starts, texts.lengths, texts.prompts, numbers))
