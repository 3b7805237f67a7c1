"""The hits of a run: how often each block was found in the cache at a first prefill, when, and at which gaps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cachelab.metrics.sample import WeightedSample
from cachelab.prefix_cache.accesses import BlockAccesses
from cachelab.request import RequestRecord

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The blocks that were hit, in the order of block ids, and the gaps between two hits of a block.

    `block`: an id of the run's BlockIds. `per_block`: its hits. `conversations`: how many conversations hit it.
    `depth`: its place in the prompt, from 0. `first`, `last`: the requests that hit it first and last, as indices into
    the completed requests. int32 (`block`: int64), shape of each: (num_distinct_blocks,).

    `gaps`: int64, shape (num_gaps, 3): a request, a later one, and how many blocks the second hit that the first had
    hit last. `prefill_index` and `time_ns`: those of each completed request's first prefill. int64, shape
    (num_completed,).
    """

    block: Int64s
    per_block: Int32s
    conversations: Int32s
    depth: Int32s
    first: Int32s
    last: Int32s
    gaps: Int64s
    prefill_index: Int64s
    time_ns: Int64s

    @classmethod
    def of(cls, completed: Sequence[RequestRecord], hit_blocks: Int64s, accesses: BlockAccesses) -> "Hits":
        """The hits of the completed requests, given in the order of first prefills.

        `hit_blocks`: how many of its first blocks each request hit. int64, shape (num_completed,).
        """
        from cachelab.prefix_cache.kernels.block_hits import groups_of_blocks, hits_of_blocks

        workload = (accesses.blocks, accesses.offsets, hit_blocks, accesses.num_ids)
        counts, first, last, depths, gaps = hits_of_blocks(*workload)
        number: dict[str, int] = {}
        groups = np.asarray([number.setdefault(record.conversation_id, len(number)) for record in completed], np.int64)
        conversations = groups_of_blocks(*workload, np.argsort(groups, kind="stable"), groups)
        block = np.flatnonzero(counts)
        return cls(
            block=block,
            per_block=counts[block],
            conversations=conversations[block],
            depth=depths[block],
            first=first[block],
            last=last[block],
            gaps=gaps,
            prefill_index=np.asarray([record.prefill_index for record in completed], np.int64),
            time_ns=np.asarray([record.first_scheduled_ns for record in completed], np.int64),
        )

    def gaps_in(self, column: Int64s) -> WeightedSample:
        """Differences of a column of the requests between consecutive hits of one block, over all blocks."""
        earlier, later, blocks = self.gaps.T
        return WeightedSample.of(column[later] - column[earlier], blocks)
