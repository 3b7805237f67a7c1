"""What each router chooses, by hand."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from cachelab.fleet.least_loaded import LeastLoaded
from cachelab.fleet.prefix_approximate import PrefixApproximate
from cachelab.fleet.prefix_aware import PrefixAware
from cachelab.fleet.round_robin import RoundRobin
from cachelab.fleet.router import Choose
from cachelab.fleet.sticky import Sticky
from workloads import request

ANY = request("a", 0, range(12), [1])


@dataclass
class Fleet:
    """A fleet of three replicas with blocks of 4 tokens, as a router sees it."""

    now_ns: int = 0
    open: Sequence[int] = (0, 1, 2)
    in_flight_tokens: Sequence[int] = (0, 0, 0)
    sent_tokens: Sequence[int] = (0, 0, 0)
    prompt_tokens: int = 12
    block_size: int = 4
    cached: Sequence[int] = (0, 0, 0)
    blocks: Sequence[Hashable] = field(default_factory=tuple)

    def cached_tokens(self) -> Sequence[int]:
        return self.cached

    def prompt_blocks(self) -> Sequence[Hashable]:
        return self.blocks


def test_round_robin_goes_on_among_the_open_replicas() -> None:
    choose = RoundRobin().begin()
    assert [choose(ANY, Fleet()) for _ in range(4)] == [0, 1, 2, 0]
    assert [choose(ANY, Fleet(open=(0, 2))) for _ in range(3)] == [0, 2, 0]


def test_least_loaded_counts_tokens_in_flight_then_tokens_sent() -> None:
    choose = LeastLoaded().begin()
    assert choose(ANY, Fleet(in_flight_tokens=(5, 4, 9))) == 1
    assert choose(ANY, Fleet(in_flight_tokens=(4, 4, 9), sent_tokens=(8, 7, 0))) == 1
    assert choose(ANY, Fleet(in_flight_tokens=(4, 4, 0), open=(0, 1))) == 0


def test_sticky_moves_only_the_conversations_of_a_replica_that_left() -> None:
    choose = Sticky().begin()
    requests = [request(f"c{number}", 0, range(4), [1]) for number in range(300)]
    before = {entry.id: choose(entry, Fleet()) for entry in requests}
    assert min(list(before.values()).count(replica) for replica in range(3)) > 60
    after = {entry.id: choose(entry, Fleet(open=(0, 2))) for entry in requests}
    assert all(after[id] == replica for id, replica in before.items() if replica != 1)
    assert {after[id] for id, replica in before.items() if replica == 1} == {0, 2}
    assert choose(request("c7", 1, range(9), [1]), Fleet()) == before["c7/0"]


def test_prefix_aware_weighs_cached_tokens_against_tokens_in_flight() -> None:
    busy = Fleet(cached=(8, 4, 0), in_flight_tokens=(10, 5, 0))
    assert PrefixAware(load_weight=0.0).begin()(ANY, busy) == 0
    assert PrefixAware(load_weight=1.0).begin()(ANY, busy) == 2  # 8 - 10, 4 - 5, 0 - 0
    assert PrefixAware(load_weight=0.7).begin()(ANY, busy) == 0  # 8 - 7, 4 - 3.5, 0 - 0


def sent(choose: Choose, blocks: str, at_s: float = 0, tokens: Sequence[int] = (0, 0, 0)) -> int:
    """The replica of a prompt of full blocks. `tokens`: what each replica has in flight."""
    fleet = Fleet(round(at_s * 1e9), in_flight_tokens=tokens, prompt_tokens=4 * len(blocks), blocks=tuple(blocks))
    return choose(ANY, fleet)


def test_prefix_approximate_remembers_what_it_sent() -> None:
    choose = PrefixApproximate(load_weight=0.0, ttl_s=None).begin()
    assert sent(choose, "abc", tokens=(1, 0, 2)) == 1
    assert sent(choose, "abd", tokens=(0, 9, 9)) == 1  # two blocks are known there
    assert sent(choose, "xbc", tokens=(0, 9, 9)) == 0  # a block counts only behind the ones in front of it
    assert sent(choose, "xbc", tokens=(9, 0, 0)) == 0


def test_prefix_approximate_forgets_a_block_after_its_time() -> None:
    choose = PrefixApproximate(load_weight=0.0, ttl_s=10.0).begin()
    assert sent(choose, "abc", 0, tokens=(1, 0, 2)) == 1
    assert sent(choose, "abc", 9.5, tokens=(0, 9, 9)) == 1  # sent again: the ten seconds begin again
    assert sent(choose, "abc", 19.4, tokens=(0, 9, 9)) == 1
    assert sent(choose, "abc", 29.4, tokens=(0, 9, 9)) == 0  # at exactly ten seconds


def test_prefix_approximate_forgets_the_end_of_the_oldest_prompt_first() -> None:
    choose = PrefixApproximate(load_weight=0.0, max_tokens=19, ttl_s=None).begin()  # four blocks of 4 tokens
    assert sent(choose, "abc", tokens=(0, 1, 1)) == 0
    assert sent(choose, "xy", tokens=(0, 1, 1)) == 0  # forgets c
    assert sent(choose, "ab", tokens=(9, 0, 0)) == 0
    choose = PrefixApproximate(load_weight=1.0, max_tokens=19, ttl_s=None).begin()
    assert sent(choose, "abc", tokens=(0, 1, 1)) == 0
    assert sent(choose, "xy", tokens=(0, 1, 1)) == 0
    assert sent(choose, "abc", tokens=(10, 0, 9)) == 1  # 8 known tokens do not outweigh 10 in flight, 12 would
