"""Prefix caches with each policy in plain Python, written from docs/retention.md: lists, sets, and a search per victim.

A block is the tuple of the ids from the first block of its prompt to itself.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from cachelab.prefix_cache.accesses import BlockAccesses

Block = tuple[int, ...]


def chains(accesses: BlockAccesses) -> Iterator[tuple[list[Block], int, int]]:
    """The blocks of each request, how many it looks up, and how many blank slots it holds."""
    for i in range(accesses.num_requests):
        ids = accesses.blocks[accesses.offsets[i] : accesses.offsets[i + 1]].tolist()
        blocks = [tuple(ids[: depth + 1]) for depth in range(len(ids))]
        yield blocks, int(accesses.lookups[i]), int(accesses.tails[i])


class Brute(Protocol):
    """A cache that is asked for its leaves and evicts one of them."""

    def blocks(self) -> set[Block]: ...

    def use(self, block: Block) -> None: ...

    def insert(self, block: Block, held: set[Block]) -> bool: ...

    def evict(self, held: set[Block]) -> bool: ...


def leaf_first(accesses: BlockAccesses, make: Callable[[int], Brute], capacity: int) -> list[int]:
    """The hit blocks of each request."""
    cache, hits = make(capacity), []
    for chain, lookups, tails in chains(accesses):
        resident = 0
        while resident < len(chain) and chain[resident] in cache.blocks():
            resident += 1
        hits.append(min(resident, lookups))
        for block in chain[:resident]:
            cache.use(block)
        for block in chain[resident:]:
            if not cache.insert(block, set(chain)):
                break
        while tails and len(cache.blocks()) > capacity - tails:
            assert cache.evict(set(chain))
        for block in cache.blocks():
            assert len(block) == 1 or block[:-1] in cache.blocks(), "the prefix rule"
    return hits


def leaves(queue: Sequence[Block], held: set[Block], resident: set[Block]) -> list[Block]:
    """The blocks of a queue, in its order, that may be evicted."""
    inner = {block[:-1] for block in resident}
    return [block for block in queue if block not in inner and block not in held]


class Counted:
    """LRU, FIFO and LFU: each block has the steps of its insertion and last use, and its number of uses."""

    def __init__(self, capacity: int, key: Callable[[int, int, int], tuple[int, ...]]) -> None:
        self.capacity, self.key, self.step = capacity, key, 0
        self.known: dict[Block, tuple[int, int, int]] = {}

    def blocks(self) -> set[Block]:
        return set(self.known)

    def use(self, block: Block) -> None:
        inserted, _, uses = self.known[block]
        self.step += 1
        self.known[block] = inserted, self.step, uses + 1

    def insert(self, block: Block, held: set[Block]) -> bool:
        if len(self.known) == self.capacity and not self.evict(held):
            return False
        self.step += 1
        self.known[block] = self.step, self.step, 1
        return True

    def evict(self, held: set[Block]) -> bool:
        found = leaves(list(self.known), held, self.blocks())
        if found:
            del self.known[min(found, key=lambda block: self.key(*self.known[block]))]
        return bool(found)


def lru(capacity: int) -> Brute:
    return Counted(capacity, lambda inserted, used, uses: (used,))


def fifo(capacity: int) -> Brute:
    return Counted(capacity, lambda inserted, used, uses: (inserted,))


def lfu(capacity: int) -> Brute:
    return Counted(capacity, lambda inserted, used, uses: (uses, used))


class Arc:
    """ARC: two lists of blocks and two of ghosts, the least recent first."""

    def __init__(self, capacity: int) -> None:
        self.c, self.p = capacity, 0.0
        self.t1: list[Block] = []
        self.t2: list[Block] = []
        self.b1: list[Block] = []
        self.b2: list[Block] = []

    def blocks(self) -> set[Block]:
        return {*self.t1, *self.t2}

    def use(self, block: Block) -> None:
        (self.t1 if block in self.t1 else self.t2).remove(block)
        self.t2.append(block)

    def insert(self, block: Block, held: set[Block]) -> bool:
        full = len(self.blocks()) == self.c
        if block in self.b1:
            self.p = min(self.c, self.p + max(1, len(self.b2) / len(self.b1)))
            if full and not self.replace(held, of_b2=False):
                return False
            self.b1.remove(block)
            self.t2.append(block)
            return True
        if block in self.b2:
            self.p = max(0, self.p - max(1, len(self.b1) / len(self.b2)))
            if full and not self.replace(held, of_b2=True):
                return False
            self.b2.remove(block)
            self.t2.append(block)
            return True
        if len(self.t1) + len(self.b1) >= self.c:
            if self.b1:
                del self.b1[0]
            elif full:
                found = leaves(self.t1, held, self.blocks())
                if not found and not self.replace(held, of_b2=False):
                    return False
                if found:
                    self.t1.remove(found[0])
                full = False
        elif len(self.t1) + len(self.t2) + len(self.b1) + len(self.b2) >= 2 * self.c:
            del self.b2[0]
        if full and not self.replace(held, of_b2=False):
            return False
        self.t1.append(block)
        return True

    def replace(self, held: set[Block], *, of_b2: bool) -> bool:
        first, second = (leaves(queue, held, self.blocks()) for queue in (self.t1, self.t2))
        if not first and not second:
            return False
        wants_first = len(self.t1) > self.p or (len(self.t1) == self.p and of_b2)
        if first and (wants_first or not second):
            self.t1.remove(first[0])
            self.b1.append(first[0])
        else:
            self.t2.remove(second[0])
            self.b2.append(second[0])
        return True

    def evict(self, held: set[Block]) -> bool:
        return self.replace(held, of_b2=False)


class S3Fifo:
    """S3-FIFO: a small and a main queue of blocks, and ghosts; the oldest first."""

    def __init__(self, capacity: int, small: int, ghosts: int) -> None:
        self.c, self.small_size, self.most_ghosts = capacity, small, ghosts
        self.small: list[Block] = []
        self.main: list[Block] = []
        self.ghosts: list[Block] = []
        self.uses: dict[Block, int] = {}
        self.evicted = False

    def blocks(self) -> set[Block]:
        return {*self.small, *self.main}

    def use(self, block: Block) -> None:
        self.uses[block] = min(3, self.uses[block] + 1)

    def insert(self, block: Block, held: set[Block]) -> bool:
        was_ghost = block in self.ghosts
        if was_ghost:
            self.ghosts.remove(block)
        if len(self.blocks()) == self.c and not self.evict(held):
            return False
        fills_main = not self.evicted and len(self.small) >= self.small_size
        (self.main if was_ghost or fills_main else self.small).append(block)
        self.uses[block] = 0
        return True

    def evict(self, held: set[Block]) -> bool:
        while True:
            small, main = (leaves(queue, held, self.blocks()) for queue in (self.small, self.main))
            if not small and not main:
                return False
            if not small or (main and len(self.main) > self.c - self.small_size):
                return self._from_main(held)
            for block in small:
                self.small.remove(block)
                if self.uses[block] < 2:
                    self.evicted = True
                    if self.most_ghosts:
                        self.ghosts = [*self.ghosts, block][-self.most_ghosts :]
                    return True
                self.uses[block] = 0
                self.main.append(block)

    def _from_main(self, held: set[Block]) -> bool:
        while True:
            block = leaves(self.main, held, self.blocks())[0]
            self.main.remove(block)
            if not self.uses[block]:
                self.evicted = True
                return True
            self.uses[block] -= 1
            self.main.append(block)


def expiring(accesses: BlockAccesses, capacity: int, times: Sequence[int], lifetime: int) -> tuple[list[int], int]:
    """The hit blocks of each request in an LRU cache with copies whose blocks expire, and the most slots held."""
    return _lru_with_copies(accesses, capacity, times, lifetime, [0] * len(times), 0)


def pinned(accesses: BlockAccesses, capacity: int, wanted: Sequence[int], most: int) -> list[int]:
    """The hit blocks of each request in an LRU cache with vLLM's copies that never evicts pinned blocks."""
    return _lru_with_copies(accesses, capacity, [0] * len(wanted), None, wanted, most)[0]


def _lru_with_copies(
    accesses: BlockAccesses,
    capacity: int,
    times: Sequence[int],
    lifetime: int | None,
    wanted: Sequence[int],
    most: int,
) -> tuple[list[int], int]:
    order: list[tuple[int, Block]] = []  # the slots that can be evicted: their age in copies and their block
    fixed: dict[Block, int] = {}  # the pinned blocks, and which copy is pinned
    used: dict[tuple[int, Block], int] = {}
    made, most_held, hits = 0, 0, []
    for (chain, lookups, tails), now, pins in zip(chains(accesses), times, wanted, strict=True):
        if lifetime is not None:
            order = [slot for slot in order if now - used[slot] < lifetime]
        mine: list[tuple[int, Block]] = []
        for block in chain[:lookups]:
            copies = [slot for slot in order if slot[1] == block]
            if block in fixed:
                mine.append((fixed[block], block))
            elif copies:
                mine.append(min(copies))
            else:
                break
        hits.append(len(mine))
        order = [slot for slot in order if slot not in mine]
        for block in [*chain[len(mine) :], *[()] * tails]:
            taken = len(order) + len(fixed) + sum(fixed.get(slot[1]) != slot[0] for slot in mine)
            if taken == capacity:
                if not order:
                    break
                del order[0]
            made += 1
            mine.append((made, block))
        mine = [slot for slot in mine if slot[1]]
        for slot in reversed(mine):
            used[slot] = now
            if fixed.get(slot[1]) != slot[0]:
                order.append(slot)
        for _, block in mine[:pins]:
            if block not in fixed and len(fixed) < most:
                oldest = min(slot for slot in order if slot[1] == block)
                order.remove(oldest)
                fixed[block] = oldest[0]
        most_held = max(most_held, len(order) + len(fixed))
    return hits, most_held
