"""The curve against caches simulated one by one, and the optimum against every choice that there is."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.prefix_cache.accesses import BlockAccesses, lru_hit_blocks, lru_reaches
from cachelab.prefix_cache.hit_rate_curve import LruCurve, opt_hit_blocks, rates
from cachelab.prefix_cache.request_blocks import number_blocks
from workloads import random_requests, trace_paths, vllm_paths

Tokens = st.lists(st.integers(0, 1), min_size=1, max_size=12)
Workload = st.lists(st.tuples(Tokens, Tokens), min_size=1, max_size=14)
Listed = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=10)


def simulated(accesses: BlockAccesses, sizes: Sequence[int]) -> np.ndarray:
    return np.stack([lru_hit_blocks(accesses, size) for size in sizes])


@given(Workload, st.integers(1, 3))
@settings(deadline=None, max_examples=200)
def test_curve_is_every_single_cache_under_vllm_rules(
    pairs: list[tuple[list[int], list[int]]], block_size: int
) -> None:
    accesses = vllm_paths(pairs, block_size)
    sizes = range(max(accesses.most_slots, 1), len(accesses.blocks) + 4)
    wanted = simulated(accesses, sizes).sum(axis=1).tolist()
    ideal = accesses.ideal_hit_blocks().sum()
    curve = LruCurve.of(accesses)
    assert curve.hit_blocks(sizes).tolist() == wanted
    assert curve.hit_blocks([curve.largest])[0] == ideal


@given(Listed, st.data())
@settings(deadline=None, max_examples=200)
def test_curve_is_every_single_cache_under_trace_rules(listed: list[list[int]], data: st.DataObject) -> None:
    spare = data.draw(st.lists(st.integers(0, 3), min_size=len(listed), max_size=len(listed)))
    accesses = trace_paths(listed, 4, spare)
    sizes = range(1, accesses.num_ids + 3)
    found, wanted = LruCurve.of(accesses).rates(sizes), rates(accesses, simulated(accesses, sizes))
    for name in ("block", "token", "per_request", "steady"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name)), name


def test_curve_worked_by_hand() -> None:
    # blocks: a = 0 1 2, b = 0 3, a again. When a comes again the line of use is 0 3 | 1 2 (most recent first): block 0
    # is found from size 1 on, block 1 (behind 0 and 3) from 3, block 2 from 4. b finds block 0 from size 1 on.
    curve = LruCurve.of(trace_paths([[0, 1, 2], [0, 3], [0, 1, 2]]))
    assert curve.hit_blocks([1, 2, 3, 4, 5]).tolist() == [2, 2, 3, 4, 4]
    assert (curve.smallest, curve.largest) == (1, 4)
    # the ceiling is 4 of 8 blocks; within a quarter of 8 blocks of it: 2 hits, from size 1 on
    assert curve.knee(4, 0.25) == 1
    assert curve.knee(4, 0.1) == 4


def test_curve_with_copies_worked_by_hand() -> None:
    # Blocks of 2: a = 1 2 and b = 3 4. The prompt 1 2 computes a again each time, since its last token is not reused:
    # the third request makes a second copy of a. Only the fourth request (1 2 7) looks up a, the fifth (3 4 5) b.
    accesses = vllm_paths([([1, 2], [9]), ([3, 4, 5], [9]), ([1, 2], [9]), ([1, 2, 7], [9]), ([3, 4, 5], [9])], 2)
    curve = LruCurve.of(accesses)
    assert curve.runs is None
    # 2 slots: request 2 evicts a, request 3 computes it again, request 4 hits it and evicts b with its partial block.
    # 3 slots: both copies of a stay; request 4 hits the older one and evicts b, now the least recently used block.
    # 4 slots: request 4 has a slot for its partial block, so request 5 hits b.
    assert curve.hit_blocks([2, 3, 4, 5]).tolist() == [1, 1, 2, 2]
    assert (curve.smallest, curve.largest) == (2, 4)


def best_by_trying(listed: Sequence[list[int]], size: int) -> int:
    """The most hits of all choices of what to keep from each request to the next."""
    chains = [tuple(tuple(ids[: depth + 1]) for depth in range(len(ids))) for ids in listed]
    states: dict[frozenset[tuple[int, ...]], int] = {frozenset(): 0}
    for chain in chains:
        after: dict[frozenset[tuple[int, ...]], int] = {}
        for kept, hits in states.items():
            found = next((depth for depth, block in enumerate(chain) if block not in kept), len(chain))
            pool = sorted(kept | set(chain))
            for mask in product((False, True), repeat=len(pool)):
                if sum(mask) <= size:
                    state = frozenset(block for block, keep in zip(pool, mask, strict=True) if keep)
                    after[state] = max(after.get(state, 0), hits + found)
        states = after
    return max(states.values())


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=3), min_size=1, max_size=5), st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_opt_is_the_best_of_all_choices(listed: list[list[int]], size: int) -> None:
    assert opt_hit_blocks(trace_paths(listed), [size]).sum() == best_by_trying(listed, size)


@given(Workload, st.integers(1, 3))
@settings(deadline=None)
def test_opt_lies_between_lru_and_ideal(pairs: list[tuple[list[int], list[int]]], block_size: int) -> None:
    accesses = vllm_paths(pairs, block_size)
    sizes = range(accesses.most_slots, len(accesses.blocks) + 2)
    best = opt_hit_blocks(accesses, sizes)
    assert (simulated(accesses, sizes).sum(axis=1) <= best.sum(axis=1)).all()
    assert (best <= accesses.ideal_hit_blocks()).all()
    assert best[-1].tolist() == accesses.ideal_hit_blocks().tolist()


def test_opt_worked_by_hand() -> None:
    # One slot: x y x y x y. Keep x throughout, bypass y: x is hit twice, y never. LRU hits nothing.
    accesses = trace_paths([[0], [1], [0], [1], [0], [1]])
    assert opt_hit_blocks(accesses, [1, 2]).sum(axis=1).tolist() == [2, 4]
    assert LruCurve.of(accesses).hit_blocks([1, 2]).tolist() == [0, 4]


def test_curve_of_random_chats_at_every_size() -> None:
    requests = random_requests(5, 30, vocabulary=3)
    accesses = number_blocks(requests, [len(entry.reply_ids) for entry in requests], 8, "vllm").accesses
    curve = LruCurve.of(accesses)
    sizes = range(accesses.most_slots, curve.largest + 2)
    assert curve.hit_blocks(sizes).tolist() == simulated(accesses, sizes).sum(axis=1).tolist()


@given(Workload, st.integers(1, 3), st.data())
@settings(deadline=None, max_examples=100)
def test_whether_a_cache_reaches_a_number_of_hits(
    pairs: list[tuple[list[int], list[int]]], block_size: int, data: st.DataObject
) -> None:
    accesses = vllm_paths(pairs, block_size)
    ideal = accesses.ideal_hit_blocks()
    size = data.draw(st.integers(max(accesses.most_slots, 1), len(accesses.blocks) + 4))
    hits = int(lru_hit_blocks(accesses, size).sum())
    for wanted in (0, hits - 1, hits, hits + 1, int(ideal.sum())):
        assert lru_reaches(accesses, size, ideal, wanted) == (hits >= wanted)
