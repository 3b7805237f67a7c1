"""The hits of a run: one row per block that a request found in the cache at its first prefill."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cachelab.prefix_cache.accesses import BlockAccesses
from cachelab.request import RequestRecord

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Hits as columns, sorted by block and then by time. int64, shape of each: (num_hits,).

    `block`: an id of the run's BlockIds. `request`: an index into the completed requests. `depth`: the block's place in
    the prompt, from 0. `prefill_index` and `time_ns`: those of the request's first prefill.
    """

    block: Int64s
    request: Int64s
    depth: Int64s
    prefill_index: Int64s
    time_ns: Int64s

    @classmethod
    def of(cls, completed: Sequence[RequestRecord], hit_blocks: Int64s, accesses: BlockAccesses) -> "Hits":
        """The hits of the completed requests, given in the order of first prefills.

        `hit_blocks`: how many of its first blocks each request hit. int64, shape (num_completed,).
        """
        request = np.repeat(np.arange(len(completed)), hit_blocks)
        before = np.cumsum(hit_blocks) - hit_blocks
        depth = np.arange(len(request)) - before[request]
        block = accesses.blocks[accesses.offsets[request] + depth].astype(np.int64)
        prefill_index = np.asarray([record.prefill_index for record in completed], dtype=np.int64)[request]
        time_ns = np.asarray([record.first_scheduled_ns for record in completed], dtype=np.int64)[request]
        order = np.argsort(block, kind="stable")
        return cls(block[order], request[order], depth[order], prefill_index[order], time_ns[order])

    @property
    def per_block(self) -> Int64s:
        """Hits of each block that was hit, in the order of block ids. int64, shape (num_distinct_blocks,)."""
        return np.unique(self.block, return_counts=True)[1].astype(np.int64)

    def gaps(self, column: Int64s) -> Int64s:
        """Differences of a column between consecutive hits of one block. int64, shape (num_reuses,)."""
        same_block = np.diff(self.block) == 0
        gaps: Int64s = np.diff(column)[same_block]
        return gaps
