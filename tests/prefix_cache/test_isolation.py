"""Isolation is part of a block's identity: no two requests with different isolation share a block or a token."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachelab.message import Isolation
from cachelab.prefix_cache.request_blocks import number_blocks, seen_tokens
from workloads import ISOLATIONS, isolated, random_requests, request


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 3))
def test_isolation_numbers_blocks_as_apart_runs_do(seed: int, block_size: int, vocabulary: int) -> None:
    requests = isolated(random_requests(seed, 4, vocabulary=vocabulary), seed)
    replies = [len(entry.reply_ids) for entry in requests]
    together = number_blocks(requests, replies, block_size, "vllm")
    seen = seen_tokens(requests, replies, block_size, "vllm")
    known, distinct = together.accesses.known_blocks(), 0
    names: set[str] = set()
    for isolation in ISOLATIONS:
        places = [place for place, entry in enumerate(requests) if entry.isolation == isolation]
        own = [replace(requests[place], isolation=None) for place in places]
        own_replies = [replies[place] for place in places]
        alone = number_blocks(own, own_replies, block_size, "vllm")
        assert known[places].tolist() == alone.accesses.known_blocks().tolist()
        assert seen[places].tolist() == seen_tokens(own, own_replies, block_size, "vllm").tolist()
        distinct += alone.accesses.num_ids
        if isolation is None:
            names = set(alone.block_ids.digests(range(alone.accesses.num_ids)).values())
    assert together.accesses.num_ids == distinct
    digests = together.block_ids.digests(range(distinct))
    assert sorted(digests) == list(range(distinct))
    assert len(set(digests.values())) == distinct
    assert names <= set(digests.values())  # without isolation a block keeps its name


def test_many_isolations_of_one_block() -> None:
    requests = [replace(request(f"c{n}", 0, [1, 2], [3]), isolation=Isolation(str(n % 3000))) for n in range(6000)]
    blocks = number_blocks(requests, [1] * len(requests), 2, "vllm")
    assert blocks.accesses.num_ids == 3000
    assert np.array_equal(blocks.accesses.blocks[:3000], blocks.accesses.blocks[3000:])


def test_empty_values_are_no_isolation() -> None:
    requests = [
        replace(request(name, 0, [1, 2], [3]), isolation=own) for name, own in (("a", Isolation("")), ("b", None))
    ]
    assert seen_tokens(requests, [1, 1], 2, "vllm").tolist() == [0, 2]
