"""The longest common subsequence of two sequences."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

Pairs = list[tuple[int, int]]
"""Pairs (index in a, index in b), both rising."""


def common_subsequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> Pairs:
    """Pairs of equal items of a longest common subsequence.

    Takes O((r + n) log n) steps for n items with r pairs of equal items between the common beginning and the common
    end. Source: Hunt and Szymanski, "A fast algorithm for computing longest common subsequences", CACM 20 (5), 1977.
    """
    head = common_start(a, b)
    tail = common_start(a[head:][::-1], b[head:][::-1])
    end_a, end_b = len(a) - tail, len(b) - tail
    places: dict[Hashable, list[int]] = defaultdict(list)
    for j in range(end_b - 1, head - 1, -1):
        places[b[j]].append(j)
    ends: list[int] = []  # the smallest last index in b of a common subsequence of each length
    chains: list[Any] = []  # (i, j, chain before), of each length
    for i in range(head, end_a):
        for j in places.get(a[i], ()):
            length = bisect_left(ends, j)
            chain = (i, j, chains[length - 1] if length else None)
            if length == len(ends):
                ends.append(j)
                chains.append(chain)
            elif j < ends[length]:
                ends[length], chains[length] = j, chain
    middle: Pairs = []
    link: Any = chains[-1] if chains else None
    while link is not None:
        middle.append(link[:2])
        link = link[2]
    same_head = [(at, at) for at in range(head)]
    return [*same_head, *reversed(middle), *((end_a + at, end_b + at) for at in range(tail))]


def common_start(a: Sequence[object], b: Sequence[object]) -> int:
    """How many items two sequences share from their start."""
    return next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def gaps(pairs: Pairs, end_a: int, end_b: int) -> list[tuple[int, int, int, int]]:
    """What lies between the pairs: (start in a, end in a, start in b, end in b), without empty gaps."""
    found = []
    at_a = at_b = 0
    for i, j in [*pairs, (end_a, end_b)]:
        if i > at_a or j > at_b:
            found.append((at_a, i, at_b, j))
        at_a, at_b = i + 1, j + 1
    return found
