"""Shortens a table of numbers by index: the rows in the middle share one row."""

from collections.abc import Sequence


def one_middle(rows: Sequence[tuple[int, Sequence[int]]], most: int) -> list[tuple[str, Sequence[int]]]:
    """The index and the numbers of each row, in at most `most` rows: those in the middle share one, with their sums."""
    if len(rows) <= most:
        return [(str(index), numbers) for index, numbers in rows]
    last = (most - 1) // 3
    first = most - 1 - last
    middle = rows[first : len(rows) - last]
    sums = [sum(column) for column in zip(*(numbers for _, numbers in middle), strict=True)]
    shared = (f"{middle[0][0]}..{middle[-1][0]}", sums)
    return [*one_middle(rows[:first], first), shared, *one_middle(rows[len(rows) - last :], last)]
