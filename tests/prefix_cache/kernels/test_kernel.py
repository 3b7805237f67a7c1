"""Kernels as Python and compiled: which of the two runs, and that both give the same."""

import subprocess
import sys
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachelab.engine.replay import ReplayEngine
from cachelab.metrics.base import measure
from cachelab.metrics.blocks import METRICS as BLOCKS
from cachelab.metrics.capacity import capacity_table
from cachelab.metrics.losses import METRICS as LOSSES
from cachelab.metrics.observation import Observation
from cachelab.prefix_cache.kernels.block_hits import hits_of_blocks
from cachelab.prefix_cache.kernels.kernel import Kernel, inlined, kernel
from cachelab.prefix_cache.retention import (
    LeafFirstPolicy,
    expiring_hit_blocks,
    leaf_first_hit_blocks,
    pinned_hit_blocks,
)
from workloads import one_lane, random_requests


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Runs each kernel in both ways and compares them; the names of the kernels that ran."""
    names: set[str] = set()

    def both(self: Kernel, *arguments: Any) -> Any:
        copies = [one.copy() if isinstance(one, np.ndarray) else one for one in arguments]
        with np.errstate(over="ignore"):
            as_python = self.python(*copies)
        compiled = self.compiled(*arguments)
        same([initialised(self, as_python), *copies], [initialised(self, compiled), *arguments])
        names.add(self._function.__name__)
        return compiled

    monkeypatch.setattr(Kernel, "__call__", both)
    return names


def initialised(ran: Kernel, result: Any) -> Any:
    """The result without the places that hits_of_blocks leaves uninitialised: those of blocks without hits."""
    if ran is not hits_of_blocks:
        return result
    counts, *of_hit, gaps = result
    return counts, *(one[counts > 0] for one in of_hit), gaps


def same(one: Any, other: Any) -> None:
    if isinstance(one, tuple | list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


@given(st.integers(0, 1 << 20), st.integers(1, 4), st.integers(2, 6))
@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # `ran` may span the examples
def test_both_kinds_of_every_kernel(ran: set[str], seed: int, block_size: int, vocabulary: int) -> None:
    requests = random_requests(seed, 8, vocabulary=vocabulary, max_message=12, max_reply=6)
    engine = ReplayEngine(block_size=block_size, num_blocks=140, max_model_len=None)
    observation = Observation.of(requests, engine.run(one_lane(requests), lambda ended: None))
    measure([*BLOCKS, *LOSSES], observation)
    capacity_table(observation)
    accesses, size = observation.accesses, max(60, observation.accesses.most_slots)
    times = np.arange(accesses.num_requests, dtype=np.int64)
    expiring_hit_blocks(accesses, size, times, 5)
    pinned_hit_blocks(accesses, size, np.full(accesses.num_requests, 2), 10)
    for policy in get_args(LeafFirstPolicy):
        leaf_first_hit_blocks(accesses, size, policy, small=4, ghosts=9)
    assert ran >= {
        "_intern", "longest_known", "lru_hits", "known_blocks", "reuse_runs", "optimal_hits", "hits_of_blocks",
        "blocks_in_flight", "expiring_hits", "pinned_hits", "leaf_first_hits",
    }  # fmt: skip


@kernel
def _doubled(values: Any) -> Any:
    """Twice the sum."""
    return _sum(values) * 2


@inlined
def _sum(values: Any) -> Any:
    total = np.int64(0)
    for value in values:
        total += value
    return total


def test_a_kernel_calls_its_own_kind() -> None:
    values = np.arange(5)
    assert _doubled.python(values) == _doubled.compiled(values) == 20
    assert _doubled.__doc__ == "Twice the sum."
    assert _doubled.python.__globals__["_sum"] is _sum.python
    compiled: Any = _doubled.compiled
    assert compiled.py_func.__globals__["_sum"] is _sum.compiled


SCRIPT = """
import sys
import numpy as np
from cachelab.prefix_cache.kernels.reuse_distance import known_blocks

def run(accesses):
    known_blocks(np.zeros(accesses, np.int32), np.asarray([0, accesses]), 1)
    return "numba" in sys.modules

print(run(20_000), run(20_000), run(20_000))
"""


def test_numba_is_loaded_when_there_is_much_to_do() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False", "False", "True"]
