"""The order of requests in which a small cache hits as much as a large one: depth-first along their prefixes."""

import heapq
from collections.abc import Sequence

from cachelab.prefix_cache.accesses import BlockAccesses


def depth_first_order(accesses: BlockAccesses, after: Sequence[int | None]) -> list[int]:
    """The indices of the requests, sorted by their block ids: requests with the longest common prefix are neighbours.

    `after[i]` is the index of the request that must come before request i (None: none). Such a request is moved to the
    first place where it can run. Without any, each request hits in a cache that holds one request all that it would hit
    in an unlimited cache: of all earlier requests, its neighbour has the longest common prefix (Zheng et al., SGLang,
    NeurIPS 2024, theorem 3.1).
    """
    # Bytes in big-endian order compare like the ids, and a prefix comes before what extends it.
    keys = [accesses.blocks_of(request).astype(">i4").tobytes() for request in range(accesses.num_requests)]
    followers: dict[int, list[int]] = {}
    for request, earlier in enumerate(after):
        if earlier is not None:
            followers.setdefault(earlier, []).append(request)
    ready = [(keys[request], request) for request, earlier in enumerate(after) if earlier is None]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, request = heapq.heappop(ready)
        order.append(request)
        for follower in followers.get(request, ()):
            heapq.heappush(ready, (keys[follower], follower))
    return order
