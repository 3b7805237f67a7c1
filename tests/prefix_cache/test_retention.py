"""Each policy against plain Python, against libCacheSim where a request is one block, and worked by hand."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import brute_policies as brute
from cachelab.prefix_cache.accesses import BlockAccesses, lru_hit_blocks
from cachelab.prefix_cache.hit_rate_curve import opt_hit_blocks
from cachelab.prefix_cache.retention import (
    LeafFirstPolicy,
    expiring_hit_blocks,
    leaf_first_hit_blocks,
    pinned_hit_blocks,
)
from workloads import random_requests, trace_paths, vllm_paths

Tokens = st.lists(st.integers(0, 1), min_size=1, max_size=10)
Listed = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=16)
Chats = st.lists(st.tuples(Tokens, Tokens), min_size=1, max_size=16)
POLICIES: dict[LeafFirstPolicy, Callable[[int], brute.Brute]] = {"fifo": brute.fifo, "lfu": brute.lfu, "arc": brute.Arc}


@st.composite
def workloads(draw: st.DrawFn) -> tuple[BlockAccesses, int]:
    """Accesses by one of the two rules, and a size that can hold them."""
    if draw(st.booleans()):
        accesses = trace_paths(draw(Listed))
        return accesses, draw(st.integers(1, accesses.num_ids + 1))
    accesses = vllm_paths(draw(Chats), draw(st.integers(1, 3)))
    return accesses, max(accesses.most_slots, 1) + draw(st.integers(0, 6))


@given(workloads(), st.sampled_from(list(POLICIES)))
@settings(deadline=None, max_examples=400)
def test_policies_of_object_caches(workload: tuple[BlockAccesses, int], policy: LeafFirstPolicy) -> None:
    accesses, size = workload
    found = leaf_first_hit_blocks(accesses, size, policy)
    assert found.tolist() == brute.leaf_first(accesses, POLICIES[policy], size)
    assert found.sum() <= opt_hit_blocks(accesses, [size]).sum()


@given(workloads(), st.integers(0, 4), st.integers(0, 5))
@settings(deadline=None, max_examples=400)
def test_s3_fifo(workload: tuple[BlockAccesses, int], small: int, ghosts: int) -> None:
    accesses, size = workload
    found = leaf_first_hit_blocks(accesses, size, "s3_fifo", min(small, size), ghosts)
    assert found.tolist() == brute.leaf_first(accesses, lambda c: brute.S3Fifo(c, min(small, c), ghosts), size)
    assert found.sum() <= opt_hit_blocks(accesses, [size]).sum()


@given(workloads(), st.lists(st.integers(0, 5), min_size=16, max_size=16), st.integers(1, 12))
@settings(deadline=None, max_examples=400)
def test_expiring_blocks(workload: tuple[BlockAccesses, int], gaps: list[int], lifetime: int) -> None:
    accesses, size = workload
    times = np.cumsum(gaps)[: accesses.num_requests]
    found, most_held = expiring_hit_blocks(accesses, size, times, lifetime)
    assert (found.tolist(), most_held) == brute.expiring(accesses, size, times.tolist(), lifetime)
    assert (found <= lru_hit_blocks(accesses, size)).all() or accesses.rules == "vllm"  # copies leave other slots


@given(workloads(), st.lists(st.integers(0, 4), min_size=16, max_size=16), st.integers(0, 5))
@settings(deadline=None, max_examples=400)
def test_pinned_blocks(workload: tuple[BlockAccesses, int], wanted: list[int], most: int) -> None:
    accesses, size = workload
    size += most if accesses.rules == "vllm" else 0  # the other blocks hold the longest request
    pins = np.asarray(wanted[: accesses.num_requests])
    found, num_pinned = pinned_hit_blocks(accesses, size, pins, most)
    assert found.tolist() == brute.pinned(accesses, size, pins.tolist(), most)
    assert num_pinned <= most


@given(workloads())
@settings(deadline=None, max_examples=200)
def test_without_expiry_and_pins_both_are_lru(workload: tuple[BlockAccesses, int]) -> None:
    accesses, size = workload
    wanted = lru_hit_blocks(accesses, size).tolist()
    times = np.arange(accesses.num_requests)
    assert expiring_hit_blocks(accesses, size, times, 1 << 60)[0].tolist() == wanted
    assert pinned_hit_blocks(accesses, size, np.full_like(times, 9), 0)[0].tolist() == wanted
    assert brute.expiring(accesses, size, times.tolist(), 1 << 60)[0] == wanted
    if accesses.rules == "trace":  # no copies: leaf first by the last use is LRU
        assert brute.leaf_first(accesses, brute.lru, size) == wanted


def test_larger_workloads() -> None:
    requests = random_requests(3, 40, vocabulary=2, max_message=6, max_reply=3)
    random.Random(1).shuffle(requests)
    accesses = vllm_paths([(entry.prompt_ids.tolist(), entry.reply_ids.tolist()) for entry in requests], 2)
    for size in (accesses.most_slots, accesses.most_slots + 9):
        for policy, make in POLICIES.items():
            assert leaf_first_hit_blocks(accesses, size, policy).tolist() == brute.leaf_first(accesses, make, size)
        found = leaf_first_hit_blocks(accesses, size, "s3_fifo", 3, 12).tolist()
        assert found == brute.leaf_first(accesses, lambda c: brute.S3Fifo(c, 3, 12), size)


@pytest.mark.parametrize("policy", ["fifo", "lfu", "arc", "s3_fifo"])
def test_an_unlimited_cache_hits_the_ideal(policy: LeafFirstPolicy) -> None:
    requests = random_requests(4, 20, vocabulary=3)
    accesses = vllm_paths([(entry.prompt_ids.tolist(), entry.reply_ids.tolist()) for entry in requests], 4)
    found = leaf_first_hit_blocks(accesses, len(accesses.blocks) + 2, policy, 10, 10)
    assert found.tolist() == accesses.ideal_hit_blocks().tolist()


def test_fifo_and_lfu_worked_by_hand() -> None:
    # Four slots. a = 0 1, b = 2 3, a again, c = 4, a, b. When c comes the leaves are 1 (inserted by request 0, used
    # twice) and 3 (inserted by request 1, used once). FIFO evicts 1. So a finds one block, and inserting 1 again evicts
    # 3, which is older than 4: b finds one block. LFU evicts 3: a finds two blocks, b one.
    accesses = trace_paths([[0, 1], [2, 3], [0, 1], [4], [0, 1], [2, 3]])
    assert leaf_first_hit_blocks(accesses, 4, "fifo").tolist() == [0, 0, 2, 0, 1, 1]
    assert leaf_first_hit_blocks(accesses, 4, "lfu").tolist() == [0, 0, 2, 0, 2, 1]


def test_arc_and_s3_fifo_worked_by_hand() -> None:
    # Two slots. ARC: 0 is used twice and is in T2. 1, 2 and 3 are used once each and evict one another from T1.
    # S3-FIFO, a small queue of one block, two ghosts: 0 enters the small queue, and 1 the main queue, since the small
    # one is full and nothing was evicted yet. For 2 the small queue gives 0, a ghost now: it was used once after its
    # insertion, and twice is needed. The ghost 0 comes back, 2 leaves the small queue as a ghost, and 0 enters the main
    # queue. The ghost 2 comes back, and the main queue gives 1. 0 is hit. For 1, which is no ghost, the main queue
    # gives 2, since 0 was used.
    accesses = trace_paths([[0], [0], [1], [2], [3], [0]])
    assert leaf_first_hit_blocks(accesses, 2, "arc").tolist() == [0, 1, 0, 0, 0, 1]
    accesses = trace_paths([[0], [0], [1], [2], [0], [2], [0], [1]])
    assert leaf_first_hit_blocks(accesses, 2, "s3_fifo", 1, 2).tolist() == [0, 1, 0, 0, 0, 0, 1, 0]


def test_expiry_and_pins_worked_by_hand() -> None:
    # a = 0 1 at 0 s, b = 0 2 at 4 s, a at 5 s, a at 9 s. Blocks last 5 s. At 4 s block 0 is used again. At 5 s block 1
    # is gone and 0 is not. At 9 s both are there, used 4 s ago.
    accesses = trace_paths([[0, 1], [0, 2], [0, 1], [0, 1]])
    found, most_held = expiring_hit_blocks(accesses, 9, np.asarray([0, 4, 5, 9]), 5)
    assert (found.tolist(), most_held) == ([0, 1, 1, 2], 3)
    found, most_held = expiring_hit_blocks(accesses, 9, np.asarray([0, 4, 5, 9]), 4)
    assert (found.tolist(), most_held) == ([0, 0, 1, 0], 3)
    # Three slots, the first block of a stays. Without a pin c = 2 3 4 evicts all of it.
    accesses = trace_paths([[0, 1], [2, 3, 4], [0, 1]])
    found, num_pinned = pinned_hit_blocks(accesses, 3, np.asarray([1, 0, 1]), 1)
    assert (found.tolist(), num_pinned) == ([0, 0, 1], 1)
    assert pinned_hit_blocks(accesses, 3, np.asarray([1, 0, 1]), 0)[0].tolist() == [0, 0, 0]


OBJECT_CACHES: dict[LeafFirstPolicy, str] = {"fifo": "FIFO", "lfu": "LFU", "arc": "ARC", "s3_fifo": "S3FIFO"}
SMALLEST = {"s3_fifo": 20}  # libCacheSim ends the process where a tenth of the cache is less than an object


@pytest.mark.parametrize("size", [3, 20, 33, 64, 150])
@pytest.mark.parametrize("policy", OBJECT_CACHES)
def test_single_blocks_are_the_objects_of_libcachesim(policy: LeafFirstPolicy, size: int) -> None:
    lcs = pytest.importorskip(
        "libcachesim", reason="libCacheSim has no wheel for this machine: pip install libcachesim"
    )
    size = max(size, SMALLEST.get(policy, 0))
    rng = random.Random(size)
    for most, skew in ((100, 0.6), (400, 0.3), (1000, 0.9)):
        ids = [int(rng.paretovariate(skew)) % most if rng.random() < 0.8 else 1000 + i for i in range(3000)]
        cache = getattr(lcs, OBJECT_CACHES[policy])(size)
        wanted = []
        for number in ids:
            asked = lcs.Request()
            asked.obj_id, asked.obj_size = number + 1, 1
            wanted.append(int(cache.get(asked)))
        accesses = trace_paths([[number] for number in ids])
        assert leaf_first_hit_blocks(accesses, size, policy, int(0.1 * size), int(0.9 * size)).tolist() == wanted
