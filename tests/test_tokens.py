import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachelab.prefix_cache.block_ids import BlockIds, concatenated
from cachelab.tokens import TokenIds, common_prefix, joined

WHOLE = np.arange(40, dtype=np.int32)
Part = st.tuples(st.integers(0, 40), st.integers(0, 12), st.booleans())


def test_neighbours_are_not_copied() -> None:
    both = joined(WHOLE[3:5], WHOLE[5:9])
    assert (both.base is WHOLE, both.tolist()) == (True, [3, 4, 5, 6, 7, 8])
    assert joined(WHOLE[3:5], WHOLE[5:5]).tolist() == [3, 4]


def test_others_are_copied() -> None:
    for first, second in ((WHOLE[3:5], WHOLE[6:9]), (WHOLE[3:5], WHOLE[5:9].copy()), (WHOLE[3:7:2], WHOLE[7:9])):
        both = joined(first, second)
        assert both.base is not WHOLE
        assert both.tolist() == [*first, *second]


@given(st.lists(st.lists(Part, min_size=1, max_size=3), max_size=6))
def test_concatenated_holds_every_sequence(lists: list[list[tuple[int, int, bool]]]) -> None:
    def part(start: int, length: int, copied: bool) -> TokenIds:
        piece = WHOLE[start : start + length]
        return piece.copy() if copied else piece

    sequences = [tuple(part(*one) for one in pieces) for pieces in lists]
    tokens, starts, lengths = concatenated(sequences)
    assert tokens.dtype == np.int32
    for pieces, start, length in zip(sequences, starts.tolist(), lengths.tolist(), strict=True):
        assert tokens[start : start + length].tolist() == np.concatenate(pieces).tolist()


def test_parts_of_one_array_are_not_copied() -> None:
    sequences = [(WHOLE[0:20],), (WHOLE[0:10], WHOLE[10:30]), (WHOLE[20:40],)]
    tokens, starts, lengths = concatenated(sequences)
    assert tokens is WHOLE
    assert (starts.tolist(), lengths.tolist()) == ([0, 0, 20], [20, 30, 20])
    copies = BlockIds.of_pieces([tuple(piece.copy() for piece in pieces) for pieces in sequences], 4)
    assert BlockIds.of_pieces(sequences, 4).ids.tolist() == copies.ids.tolist()


def test_a_small_part_of_an_array_is_copied() -> None:
    tokens, starts, _ = concatenated([(WHOLE[3:5],), (WHOLE[4:6],)])
    assert (tokens.tolist(), starts.tolist()) == ([3, 4, 4, 5], [0, 2])


few_ids = st.lists(st.integers(0, 2), max_size=6)


@given(few_ids, few_ids)
def test_common_prefix_is_the_longest(a: list[int], b: list[int]) -> None:
    n = common_prefix(np.array(a, np.int32), np.array(b, np.int32))
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]
