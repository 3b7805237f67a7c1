"""A fast reader for plain rows of block traces. A slower reader reads all other rows and reports their errors.

A plain row is an object whose keys are in KEYS, with whole numbers (no negative number except -1), lists of them, and
text of printable ASCII characters without escapes.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

KEYS = (
    "timestamp", "input_length", "output_length", "block_size", "chat_id", "parent_chat_id", "turn", "hash_ids",
    "output_hash_ids", "type",
)  # fmt: skip
NUM_NUMBERS = 7
"""The first NUM_NUMBERS of KEYS hold one number each, the next two a list of numbers, the last one text (skipped)."""

SEEN, LINE = "seen", "line"
"""Two more numbers of each row: a bit mask of the KEYS that it has, and its line, counted from 0."""

ABSENT = -2

_QUOTE, _COMMA, _COLON, _MINUS, _NEWLINE, _BACKSLASH = 34, 44, 58, 45, 10, 92
_OPEN_LIST, _CLOSE_LIST, _OPEN, _CLOSE, _ZERO, _NINE = 91, 93, 123, 125, 48, 57


def key_table() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """KEYS as bytes, shape (num_keys, longest key), and their lengths, shape (num_keys,)."""
    lengths = np.asarray([len(key) for key in KEYS], np.int64)
    table = np.zeros((len(KEYS), lengths.max()), np.uint8)
    for row, key in enumerate(KEYS):
        table[row, : len(key)] = np.frombuffer(key.encode(), np.uint8)
    return table, lengths


@njit(cache=True)
def read_rows(data, table, key_lengths):
    """The numbers of whole lines. If one row is not plain, the result has no rows.

    Args:
        data: uint8, shape (num_bytes,). The lines.
        table: uint8, shape (num_keys, longest key). See key_table.
        key_lengths: int64, shape (num_keys,).

    Returns:
        numbers: int64, shape (num_rows, NUM_NUMBERS + 2). The values of the first NUM_NUMBERS keys, ABSENT for a key
            that the row lacks, then SEEN and LINE.
        ids: int64. The `hash_ids` of all rows.
        listed: int64, shape (num_rows, 2). How many ids and how many reply ids each row has.
        reply_ids: int64. The `output_hash_ids` of all rows.
    """
    num_rows = np.int64(0)
    blank = True
    for byte in data:  # counts the lines that are not blank
        if byte == _NEWLINE:
            blank = True
        elif blank and not _blank(byte):
            blank = False
            num_rows += 1
    numbers = np.empty((num_rows, NUM_NUMBERS + 2), np.int64)
    listed = np.zeros((num_rows, 2), np.int64)
    ids = np.empty(len(data) // 2 + 1, np.int64)
    reply_ids = np.empty(len(data) // 2 + 1 if _has(data, table[8], key_lengths[8]) else 0, np.int64)
    counts = np.zeros(2, np.int64)
    row = 0
    line = np.int64(0)
    at = np.int64(0)
    end = len(data)
    while True:
        while at < end and (data[at] == _NEWLINE or _blank(data[at])):
            line += data[at] == _NEWLINE
            at += 1
        if at == end:
            break
        numbers[row, :NUM_NUMBERS] = ABSENT
        numbers[row, NUM_NUMBERS + 1] = line
        at = _row(data, at, table, key_lengths, numbers[row], listed[row], ids, reply_ids, counts)
        if at < 0:
            row = 0
            break
        row += 1
    return numbers[:row].copy(), ids[: counts[0]].copy(), listed[:row].copy(), reply_ids[: counts[1]].copy()


@njit(cache=True)
def _row(data, at, table, key_lengths, numbers, listed, ids, reply_ids, counts):
    """Read the row that starts at `at` (int) into `numbers`, `listed`, `ids` and `reply_ids`, from `counts` on.

    Returns the index after the row (int); -1 if it is not plain.
    """
    end = len(data)
    seen = np.int64(0)
    if data[at] != _OPEN:
        return -1
    at += 1
    while True:
        at = _skip(data, at)
        if at >= end or data[at] != _QUOTE:
            return -1
        at += 1
        key = _key(data, at, table, key_lengths)
        if key < 0 or seen & (np.int64(1) << key):
            return -1
        seen |= np.int64(1) << key
        at = _skip(data, at + key_lengths[key] + 1)
        if at >= end or data[at] != _COLON:
            return -1
        at = _skip(data, at + 1)
        if at >= end:
            return -1
        if key < NUM_NUMBERS:
            value, at = _number(data, at)
            if at < 0:
                return -1
            numbers[key] = value
        elif key < NUM_NUMBERS + 2:
            which = key - NUM_NUMBERS
            if data[at] != _OPEN_LIST:
                return -1
            at = _skip(data, at + 1)
            if at < end and data[at] == _CLOSE_LIST:
                at += 1
            else:
                while True:
                    value, at = _number(data, at)
                    if at < 0 or value < 0:
                        return -1
                    if which == 0:
                        ids[counts[0]] = value
                    else:
                        reply_ids[counts[1]] = value
                    counts[which] += 1
                    listed[which] += 1
                    at = _skip(data, at)
                    if at >= end:
                        return -1
                    if data[at] == _CLOSE_LIST:
                        at += 1
                        break
                    if data[at] != _COMMA:
                        return -1
                    at = _skip(data, at + 1)
        else:
            if data[at] != _QUOTE:
                return -1
            at += 1
            while at < end and data[at] != _QUOTE:
                if data[at] == _BACKSLASH or data[at] < 32 or data[at] > 126:
                    return -1
                at += 1
            at += 1
        at = _skip(data, at)
        if at >= end:
            return -1
        if data[at] == _CLOSE:
            if not seen & (np.int64(1) << NUM_NUMBERS):
                return -1  # no hash_ids
            numbers[NUM_NUMBERS] = seen
            at = _skip(data, at + 1)
            return at if at >= end or data[at] == _NEWLINE else -1
        if data[at] != _COMMA:
            return -1
        at += 1


@njit(cache=True, inline="always")
def _blank(byte):
    return byte == 32 or byte == 9 or byte == 13


@njit(cache=True, inline="always")
def _skip(data, at):
    while at < len(data) and _blank(data[at]):
        at += 1
    return at


@njit(cache=True)
def _key(data, at, table, key_lengths):
    for key in range(len(key_lengths)):
        length = key_lengths[key]
        if at + length < len(data) and data[at + length] == _QUOTE:
            same = True
            for i in range(length):
                if data[at + i] != table[key, i]:
                    same = False
                    break
            if same:
                return key
    return -1


@njit(cache=True)
def _number(data, at):
    """A whole number from -1 with at most 18 digits (int64), and the index after it; -1 for anything else."""
    negative = at < len(data) and data[at] == _MINUS
    first = at + negative
    at = first
    value = np.int64(0)
    while at < len(data) and _ZERO <= data[at] <= _NINE:
        value = 10 * value + (data[at] - _ZERO)
        at += 1
    if at == first or at - first > 18 or (data[first] == _ZERO and at - first > 1) or (negative and value != 1):
        return np.int64(0), np.int64(-1)
    # The caller requires a comma or a bracket next, so a fraction, an exponent or a letter is refused there.
    return -value if negative else value, np.int64(at)


@njit(cache=True)
def _has(data, key, length):
    """Whether the bytes of a key occur anywhere in the data."""
    for at in range(len(data) - length):
        same = True
        for i in range(length):
            if data[at + i] != key[i]:
                same = False
                break
        if same:
            return True
    return False
