import hashlib
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachelab.prefix_cache.block_ids import BlockIds

Sequences = st.lists(st.lists(st.integers(0, 2), max_size=14), max_size=8)


def _chains(sequences: list[list[int]], block_size: int = 2) -> BlockIds:
    return BlockIds.of([np.array(tokens, dtype=np.int32) for tokens in sequences], block_size)


def test_chains_same_tokens_under_other_parent() -> None:
    # [7 8] as a first block, and [7 8] after [1 2]: two blocks. The 9 fills no block.
    blocks = _chains([[1, 2, 7, 8, 9], [7, 8, 1, 2], [1, 2, 7, 8, 7, 8]])
    assert [chain.tolist() for chain in blocks.per_sequence] == [[0, 1], [2, 3], [0, 1, 4]]


def test_chains_no_tokens() -> None:
    blocks = _chains([[], [1]])
    assert [chain.tolist() for chain in blocks.per_sequence] == [[], []]


def test_chains_tokens_of_other_integer_type() -> None:
    blocks = BlockIds.of([np.array([1, 2], dtype=np.int64), np.array([1, 2], dtype=np.int32)], 2)
    assert [chain.tolist() for chain in blocks.per_sequence] == [[0], [0]]


@given(Sequences, st.integers(1, 4))
def test_chains_equal_ids_are_equal_prefixes(sequences: list[list[int]], block_size: int) -> None:
    blocks = _chains(sequences, block_size)
    prefix_of: dict[int, tuple[int, ...]] = {}
    for tokens, chain in zip(sequences, blocks.per_sequence, strict=True):
        assert len(chain) == len(tokens) // block_size
        for depth, block in enumerate(chain.tolist()):
            prefix = tuple(tokens[: (depth + 1) * block_size])
            assert prefix_of.setdefault(block, prefix) == prefix
    assert len(set(prefix_of.values())) == len(prefix_of) == blocks.num_ids


def test_digests_worked_by_hand() -> None:
    blocks = _chains([[1, 2, 3, 4]])
    first = hashlib.sha256(bytes([1, 0, 0, 0, 2, 0, 0, 0])).digest()
    second = hashlib.sha256(first + bytes([3, 0, 0, 0, 4, 0, 0, 0])).digest()
    assert blocks.digests([1]) == {0: first[:16].hex(), 1: second[:16].hex()}


def test_names_of_some_blocks() -> None:
    blocks = _chains([[1, 2, 3, 4, 5, 6], [3, 4]])
    digests = blocks.digests(range(4))
    assert list(blocks.names(np.asarray([3, 1]))) == [digests[3], digests[1]]
    assert list(blocks.names(np.asarray([3, 1]))[np.asarray([1])]) == [digests[1]]


def test_digests_in_another_process() -> None:
    # Python's own hash of bytes differs with PYTHONHASHSEED; the digest must not.
    script = (
        "import numpy as np; from cachelab.prefix_cache.block_ids import BlockIds;"
        "print(BlockIds.of([np.arange(6, dtype=np.int32)], 2).digests([2])[2])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert digests == {_chains([[0, 1, 2, 3, 4, 5]]).digests([2])[2] + "\n"}
