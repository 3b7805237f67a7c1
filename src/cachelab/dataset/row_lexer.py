"""A fast reader for plain rows of block traces. A slower reader reads all other rows and reports their errors.

A plain row is an object whose keys are in KEYS, with whole numbers (no negative number except -1), lists of ids, and
text of printable ASCII characters without escapes. An id is a whole number or such a text. Texts get numbers: a text is
first compared with the one that was new after the id before it, then found through a hash table, which also compares.
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

_SHORTEST_ROW = len('{"hash_ids":[]}')

_QUOTE, _COMMA, _COLON, _MINUS, _NEWLINE, _BACKSLASH = 34, 44, 58, 45, 10, 92
_SPACE, _ONE = 32, np.uint64(1)
_OPEN_LIST, _CLOSE_LIST, _OPEN, _CLOSE, _ZERO, _NINE = 91, 93, 123, 125, 48, 57


def key_table() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """KEYS as bytes, shape (num_keys, longest key), and their lengths, shape (num_keys,)."""
    lengths = np.asarray([len(key) for key in KEYS], np.int64)
    table = np.zeros((len(KEYS), lengths.max()), np.uint8)
    for row, key in enumerate(KEYS):
        table[row, : len(key)] = np.frombuffer(key.encode(), np.uint8)
    return table, lengths


@njit(cache=True)
def read_rows(data, table, key_lengths, texts, ends, slots, num_texts):
    """The numbers of whole lines. If one row is not plain, the result has no rows.

    Args:
        data: uint8, shape (num_bytes,). The lines; the last byte is a line end.
        table: uint8, shape (num_keys, longest key). See key_table.
        key_lengths: int64, shape (num_keys,).
        texts: uint8, with room for all of `data`. The texts of all ids that are text, one after another.
        ends: int64, with room for a quarter of `data`. ends[n]: the end of text n - 1 in `texts`.
        slots: int32, shape (a power of two,). The hash table: the number of a text, or -1.
        num_texts: int. The number of texts so far.

    Returns:
        numbers: int64, shape (num_rows, NUM_NUMBERS + 2). The values of the first NUM_NUMBERS keys, ABSENT for a key
            that the row lacks, then SEEN and LINE.
        ids: int64. The `hash_ids` of all rows; -1 - n for text n.
        listed: int64, shape (num_rows, 2). How many ids and how many reply ids each row has.
        reply_ids: int64. The `output_hash_ids` of all rows.
        slots: int32. The hash table, which may have grown.
        num_texts: int. The number of texts.
    """
    num_rows = len(data) // _SHORTEST_ROW + 1  # pages that are never used take no memory
    numbers = np.empty((num_rows, NUM_NUMBERS + 2), np.int64)
    listed = np.empty((num_rows, 2), np.int64)
    ids = np.empty(len(data) // 2 + 1, np.int64)
    reply_ids = np.empty(len(data) // 2 + 1, np.int64)
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
        listed[row, :] = 0
        numbers[row, NUM_NUMBERS + 1] = line
        at, slots, num_texts = _row(
            data,
            at,
            table,
            key_lengths,
            numbers[row],
            listed[row],
            ids,
            reply_ids,
            counts,
            texts,
            ends,
            slots,
            num_texts,
        )
        if at < 0:
            row = 0
            break
        row += 1
    return numbers[:row], ids[: counts[0]], listed[:row], reply_ids[: counts[1]], slots, num_texts


@njit(cache=True)
def _row(data, at, table, key_lengths, numbers, listed, ids, reply_ids, counts, texts, ends, slots, num_texts):
    """Read the row that starts at `at` (int) into `numbers`, `listed`, `ids` and `reply_ids`, from `counts` on.

    Returns the index after the row (int; -1 if it is not plain), the hash table and the number of texts.
    """
    end = len(data)
    seen = np.int64(0)
    failed = np.int64(-1), slots, num_texts
    if data[at] != _OPEN:
        return failed
    at += 1
    while True:
        at = _skip(data, at)
        if data[at] != _QUOTE:
            return failed
        at += 1
        key = _key(data, at, table, key_lengths)
        if key < 0 or seen & (np.int64(1) << key):
            return failed
        seen |= np.int64(1) << key
        at = _skip(data, at + key_lengths[key] + 1)
        if data[at] != _COLON:
            return failed
        at = _skip(data, at + 1)
        if key < NUM_NUMBERS:
            value, at = _number(data, at)
            if at < 0:
                return failed
            numbers[key] = value
        elif key < NUM_NUMBERS + 2:
            which = key - NUM_NUMBERS
            into = ids if which == 0 else reply_ids
            first = counts[which]
            at, counts[which], slots, num_texts = _list(data, at, into, first, texts, ends, slots, num_texts)
            failed = np.int64(-1), slots, num_texts
            if at < 0:
                return failed
            listed[which] = counts[which] - first
        else:
            if data[at] != _QUOTE:
                return failed
            at += 1
            while _plain(data[at]):
                at += 1
            if data[at] != _QUOTE:
                return failed
            at += 1
        at = _skip(data, at)
        if data[at] == _CLOSE:
            if not seen & (np.int64(1) << NUM_NUMBERS):
                return failed  # no hash_ids
            numbers[NUM_NUMBERS] = seen
            at = _skip(data, at + 1)
            return (at, slots, num_texts) if at >= end or data[at] == _NEWLINE else failed
        if data[at] != _COMMA:
            return failed
        at += 1


@njit(cache=True)
def _list(data, at, ids, count, texts, ends, slots, num_texts):
    """Read a list of ids into `ids` from `count` (int) on.

    Returns the index after the list (int; -1 if it is not plain), the new count, the hash table, the number of texts.
    """
    if data[at] != _OPEN_LIST:
        return np.int64(-1), count, slots, num_texts
    at = _skip(data, at + 1)
    if data[at] == _CLOSE_LIST:
        return at + 1, count, slots, num_texts
    guess = np.int64(0)
    while True:
        if data[at] == _QUOTE:
            after, count, guess = _expected_texts(data, at, ids, count, texts, ends, guess, num_texts)
            if after == at:
                at += 1
                after = at
                while _plain(data[after]):
                    after += 1
                if data[after] != _QUOTE or after == at:
                    return np.int64(-1), count, slots, num_texts
                slots, guess, num_texts = number_text(data, at, after, texts, ends, slots, num_texts)
                ids[count] = -1 - guess
                count += 1
                guess += 1
                after += 1
            at = after
        else:
            at, count = _whole_numbers(data, at, ids, count)
            if at < 0:
                return np.int64(-1), count, slots, num_texts
        at = _skip(data, at)
        if data[at] == _CLOSE_LIST:
            return at + 1, count, slots, num_texts
        if data[at] != _COMMA:
            return np.int64(-1), count, slots, num_texts
        at = _skip(data, at + 1)


@njit(cache=True)
def _whole_numbers(data, start, ids, first):
    """Read whole numbers of at most 18 digits, with ", " or "," between them, into `ids` from `first` (int) on.

    Returns the index after the last one (int; -1 if there is none, or if one is not plain) and the new count. Indices
    and digits are unsigned, so that the loop tests neither for negative ones.
    """
    at, count = np.uint64(start), np.uint64(first)
    while True:
        begin = at
        value = np.int64(0)
        digit = data[at] - np.uint8(_ZERO)
        while digit <= np.uint8(9):
            value = np.int64(10) * value + np.int64(digit)
            at += _ONE
            digit = data[at] - np.uint8(_ZERO)
        digits = at - begin
        if digits == np.uint64(0) or digits > np.uint64(18) or (data[begin] == _ZERO and digits > _ONE):
            return np.int64(-1), first
        ids[count] = value
        count += _ONE
        if data[at] != _COMMA:
            return np.int64(at), np.int64(count)
        after = at + _ONE
        if data[after] == _SPACE:
            after += _ONE
        if data[after] - np.uint8(_ZERO) > np.uint8(9):
            return np.int64(at), np.int64(count)
        at = after


@njit(cache=True)
def _expected_texts(data, start, ids, first, texts, ends, guess, num_texts):
    """Read texts, with ", " or "," between them, as long as they are text number `guess` (int), `guess` + 1, ...

    Returns the index after the last one (int; `start`, that of a quote, if there is none), the new count and guess.
    """
    at, count = np.uint64(start), np.uint64(first)
    done = at
    end = np.uint64(len(data))
    while guess < num_texts and data[at] == _QUOTE:
        at += _ONE
        of = np.uint64(ends[guess])
        length = np.uint64(ends[guess + 1]) - of
        if length == np.uint64(0) or at + length >= end or data[at + length] != _QUOTE:
            break
        i = np.uint64(0)
        while i < length and data[at + i] == texts[of + i]:
            i += _ONE
        if i < length:
            break
        ids[count] = -1 - guess
        count += _ONE
        guess += 1
        done = at + length + _ONE
        if data[done] != _COMMA:
            break
        at = done + _ONE
        if data[at] == _SPACE:
            at += _ONE
    return np.int64(done), np.int64(count), guess


@njit(cache=True)
def number_text(data, at, after, texts, ends, slots, num_texts):
    """The number of a text; a new text is added to `texts` and `ends`, which must have room for it.

    Args:
        data: uint8, shape (num_bytes,).
        at: int. Where the text starts in `data`.
        after: int. The end of the text.
        texts: uint8. As in read_rows.
        ends: int64. As in read_rows.
        slots: int32. As in read_rows.
        num_texts: int. As in read_rows.

    Returns:
        The hash table (int32), the text's number (int) and the number of texts (int).
    """
    length = after - at
    mask = len(slots) - 1
    place = _spread(data, at, after) & mask
    while slots[place] >= 0:
        found = np.int64(slots[place])
        if ends[found + 1] - ends[found] == length:
            same = np.int64(0)
            of = ends[found]
            while same < length and texts[of + same] == data[at + same]:
                same += 1
            if same == length:
                return slots, found, num_texts
        place = (place + 1) & mask
    slots[place] = num_texts
    texts[ends[num_texts] : ends[num_texts] + length] = data[at:after]
    ends[num_texts + 1] = ends[num_texts] + length
    num_texts += 1
    if 2 * num_texts > len(slots):
        larger = np.full(2 * len(slots), -1, np.int32)
        mask = len(larger) - 1
        for number in slots:
            if number >= 0:
                place = _spread(texts, ends[number], ends[number + 1]) & mask
                while larger[place] >= 0:
                    place = (place + 1) & mask
                larger[place] = number
        slots = larger
    return slots, np.int64(num_texts - 1), num_texts


@njit(cache=True, inline="always")
def _spread(data, at, after):
    """The hash (int, not negative) of the bytes from `at` to `after` (FNV-1a, then mixed)."""
    h = np.uint64(0xCBF29CE484222325)
    i, end = np.uint64(at), np.uint64(after)
    while i < end:
        h = (h ^ np.uint64(data[i])) * np.uint64(0x100000001B3)
        i += _ONE
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    return np.int64((h ^ (h >> np.uint64(32))) >> np.uint64(1))


@njit(cache=True, inline="always")
def _blank(byte):
    return byte == 32 or byte == 9 or byte == 13


@njit(cache=True, inline="always")
def _skip(data, at):
    """The index of the first byte from `at` on that is not blank. The last byte of `data` is not."""
    while at < len(data) and _blank(data[at]):
        at += 1
    return at


@njit(cache=True, inline="always")
def _plain(byte):
    """Whether a byte is a printable ASCII character that is neither a quote nor a backslash."""
    return 32 <= byte <= 126 and byte != _QUOTE and byte != _BACKSLASH


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
