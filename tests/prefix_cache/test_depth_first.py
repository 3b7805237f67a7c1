"""The depth-first order of requests: by hand, and what it reaches."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachelab.prefix_cache.accesses import BlockAccesses, lru_hit_blocks
from cachelab.prefix_cache.depth_first import depth_first_order
from cachelab.prefix_cache.request_blocks import number_blocks
from cachelab.request import Request
from workloads import request


def accesses_of(requests: list[Request], block_size: int = 4) -> BlockAccesses:
    return number_blocks(requests, [len(one.reply_ids) for one in requests], block_size, "vllm").accesses


def test_conversations_run_one_after_another_and_keep_the_order_of_their_turns() -> None:
    # Block size 4: a and b share a first block; b's second turn (index 1) came first in the log.
    shared = [1, 2, 3, 4]
    prompts = [[*shared, 11, 12, 13, 14, 15], [*shared, 21, 22, 23, 24, 25], [*shared, 11, 12, 13, 14, 16], shared]
    requests = [request(f"c{index}", 0, prompt, [0]) for index, prompt in enumerate(prompts)]
    found = accesses_of(requests)
    assert depth_first_order(found, [None] * 4) == [3, 0, 2, 1]
    # Request 3 must come after request 1: it is the first that can run then.
    assert depth_first_order(found, [None, None, None, 1]) == [0, 2, 1, 3]
    assert depth_first_order(found, [1, None, None, None]) == [3, 2, 1, 0]


def test_reordered_accesses_are_those_of_the_reordered_requests() -> None:
    requests = [request(f"c{index}", 0, range(index, index + 9), range(90, 90 + index)) for index in range(5)]
    order = [3, 0, 4, 1, 2]
    mine, whole = accesses_of(requests).reordered(order), accesses_of([requests[index] for index in order])
    for name in ("offsets", "lookups", "tails", "prompt_blocks", "prompt_tokens"):
        assert np.array_equal(getattr(mine, name), getattr(whole, name))
    assert np.array_equal(lru_hit_blocks(mine, 9), lru_hit_blocks(whole, 9))


def test_no_requests() -> None:
    found = accesses_of([])
    assert depth_first_order(found, []) == []
    assert found.reordered([]).num_requests == 0


TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=14)


@given(prompts=st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=12))
def test_a_cache_of_one_request_hits_what_an_unlimited_cache_hits_in_this_order(
    prompts: list[tuple[list[int], list[int]]],
) -> None:
    requests = [request(f"c{index}", 0, *pair) for index, pair in enumerate(prompts)]
    found = accesses_of(requests, block_size=2)
    order = depth_first_order(found, [None] * len(requests))
    assert sorted(order) == list(range(len(requests)))
    ordered = found.reordered(order)
    assert lru_hit_blocks(ordered, ordered.most_slots).tolist() == ordered.ideal_hit_blocks().tolist()


@given(prompts=st.lists(TOKENS, min_size=1, max_size=12), data=st.data())
def test_no_request_comes_before_the_one_that_it_follows(prompts: list[list[int]], data: st.DataObject) -> None:
    after = [data.draw(st.sampled_from([None, *range(index)])) for index in range(len(prompts))]
    found = accesses_of([request(f"c{index}", 0, prompt, [0]) for index, prompt in enumerate(prompts)], block_size=2)
    order = depth_first_order(found, after)
    place = {index: where for where, index in enumerate(order)}
    assert len(place) == len(prompts)
    assert all(place[earlier] < place[index] for index, earlier in enumerate(after) if earlier is not None)
