"""How much of a session's prompts the next request repeats, as published for Claude Code sessions."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cachelab.metrics.observation import Observation

Float64s = npt.NDArray[np.float64]

_CLAUDE_CODE_SIZE = (59_204, 739)
"""Requests and sessions of the published set (github.com/callanjfox/kv-cache-tester)."""


def is_claude_code(observation: Observation) -> bool:
    """Whether the run is of all published Claude Code sessions, under the rules of traces."""
    if observation.counters.rules != "trace" or len(observation.requests) != _CLAUDE_CODE_SIZE[0]:
        return False
    return len({id.partition("/")[0] for id in _conversations(observation)}) == _CLAUDE_CODE_SIZE[1]


def repeated_shares(observation: Observation) -> Float64s:
    """For each session with at least two requests, the share of listed blocks that its previous request also had.

    The first request of a session and sub-agents (conversations whose id has a slash) are left out. A block counts only
    if all blocks before it are equal too. float64, shape (num_sessions,).
    """
    paths = observation.accesses
    turns: dict[str, list[tuple[int, int]]] = {}
    for index, record in enumerate(observation.completed):
        if "/" not in record.conversation_id:
            turns.setdefault(record.conversation_id, []).append((record.turn_index, index))
    shares: list[float] = []
    for of in turns.values():
        prompts = [paths.blocks[paths.offsets[i] : paths.offsets[i + 1]] for _, i in sorted(of)]
        pairs = list(pairwise(prompts))
        if listed := sum(len(after) for _, after in pairs):
            shares.append(sum(_same(before, after) for before, after in pairs) / listed)
    return np.asarray(shares)


def _same(a: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> int:
    """The number of leading blocks that two prompts share. A number identifies a block and all blocks before it."""
    n = min(len(a), len(b))
    return int(np.count_nonzero(a[:n] == b[:n]))


def _conversations(observation: Observation) -> set[str]:
    return {request.conversation_id for request in observation.requests.values()}
