"""Prefix-aware routing without knowing the caches."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.fleet.prefix_aware import LoadWeight
from cachelab.fleet.router import Choose, View, fewest_missing
from cachelab.request import Request
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class PrefixApproximate:
    """Chooses as PrefixAware does, by the router's own record of which prompts it sent where.

    The record of a replica holds the blocks of at most `max_tokens` tokens; the least recently sent blocks are
    forgotten first, of one prompt the last ones. A block is also forgotten `ttl_s` seconds after it was last sent
    (None: never). Replies are not in the record, since the router does not know their blocks. It notices no eviction.
    """

    load_weight: LoadWeight = 1.0
    max_tokens: Annotated[int, Field(gt=0)] = 1_000_000
    ttl_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 120.0

    def begin(self) -> Choose:
        records: dict[int, _Record] = {}

        def choose(request: Request, view: View) -> int:
            blocks = view.prompt_blocks()
            oldest_ns = None if self.ttl_s is None else view.now_ns - round(self.ttl_s * 1e9)
            cached = [0] * len(view.in_flight_tokens)
            for replica in view.open:
                record = records.setdefault(replica, OrderedDict())
                cached[replica] = min(_known(record, blocks, oldest_ns) * view.block_size, view.prompt_tokens)
            chosen = fewest_missing(view, cached, self.load_weight)
            _note(records[chosen], blocks, view.now_ns, self.max_tokens // view.block_size)
            return chosen

        return choose


_Record = OrderedDict[Hashable, int]
"""The time in nanoseconds at which each block was last sent, the least recently sent block first."""


def _known(record: _Record, blocks: Sequence[Hashable], oldest_ns: int | None) -> int:
    """Leading blocks in the record that were sent after `oldest_ns`."""
    known = 0
    for block in blocks:
        sent_ns = record.get(block)
        if sent_ns is None or (oldest_ns is not None and sent_ns <= oldest_ns):
            break
        known += 1
    return known


def _note(record: _Record, blocks: Sequence[Hashable], now_ns: int, most: int) -> None:
    for block in reversed(blocks):
        record[block] = now_ns
        record.move_to_end(block)
    while len(record) > most:
        record.popitem(last=False)
