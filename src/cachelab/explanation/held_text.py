"""Which tokens of a prompt, after a break, an earlier request held too."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from cachelab.explanation.common_subsequence import common_subsequence, gaps
from cachelab.explanation.rendered import LineEnds, Mask, Rendered, Unit
from cachelab.tokens import TokenIds, common_prefix


def held_tokens(prompt: Rendered, earlier: Rendered, token: int, line_ends: LineEnds) -> Mask:
    """Whether each token of the prompt from `token` on is text that the earlier request held, in the same order.

    The two share all tokens before `token`. Their units are aligned: first identical ones (a longest common
    subsequence), then, between these, units of one role in their order, if the earlier one holds at least half of the
    tokens of the prompt's. Of such a pair the identical lines are held (a longest common subsequence), and of lines
    that differ the common beginning and end. Template tokens behind an aligned unit are held as far as they follow its
    counterpart too. Shape: (prompt tokens,).
    """
    held: Mask = np.zeros(len(prompt.ids), np.bool_)
    now = prompt.units[prompt.first_unit(token) :]
    before = earlier.units[earlier.first_unit(token) :]
    same = common_subsequence(
        [(unit.role, earlier.tokens(unit).tobytes()) for unit in before],
        [(unit.role, prompt.tokens(unit).tobytes()) for unit in now],
    )
    for i, j in same:
        held[now[j].start : now[j].end] = True
        _hold_template(held, prompt, now[j], earlier, before[i])
    for from_a, to_a, from_b, to_b in gaps(same, len(before), len(now)):
        for of_before, of_now in _by_role(before[from_a:to_a], now[from_b:to_b]):
            common = common_tokens(earlier.tokens(of_before), prompt.tokens(of_now), line_ends)
            if 2 * int(common.sum()) >= len(common):
                held[of_now.start : of_now.end] = common
                _hold_template(held, prompt, of_now, earlier, of_before)
    held[:token] = False
    return held


def common_tokens(before: TokenIds, now: TokenIds, line_ends: LineEnds) -> Mask:
    """Whether each token of `now` is in a line that `before` has too, or in the common start or end of other lines."""
    common: Mask = np.zeros(len(now), np.bool_)
    if 2 * len(before) < len(now):
        return common  # it cannot hold half of them
    starts_a, starts_b = _line_starts(before, line_ends), _line_starts(now, line_ends)
    pairs = common_subsequence(_pieces(before, starts_a), _pieces(now, starts_b))
    for _, j in pairs:
        common[starts_b[j] : starts_b[j + 1]] = True
    for from_a, to_a, from_b, to_b in gaps(pairs, len(starts_a) - 1, len(starts_b) - 1):
        a = before[starts_a[from_a] : starts_a[to_a]]
        b = now[starts_b[from_b] : starts_b[to_b]]
        head = common_prefix(a, b)
        tail = common_prefix(a[head:][::-1], b[head:][::-1])
        start, end = starts_b[from_b], starts_b[to_b]
        common[start : start + head] = True
        common[end - tail : end] = True
    return common


def _line_starts(ids: TokenIds, line_ends: LineEnds) -> list[int]:
    """Where each line starts, and where the last one ends."""
    starts = [0, *(np.nonzero(line_ends.of(ids))[0] + 1).tolist()]
    return starts if starts[-1] == len(ids) else [*starts, len(ids)]


def _pieces(ids: TokenIds, starts: list[int]) -> list[bytes]:
    return [ids[start:end].tobytes() for start, end in pairwise(starts)]


def _by_role(before: Sequence[Unit], now: Sequence[Unit]) -> Iterator[tuple[Unit, Unit]]:
    """Each unit with the next unit of its role before it, in their order."""
    at = 0
    for unit in now:
        found = next((k for k in range(at, len(before)) if before[k].role == unit.role), None)
        if found is not None:
            yield before[found], unit
            at = found + 1


def _hold_template(held: Mask, prompt: Rendered, now: Unit, earlier: Rendered, before: Unit) -> None:
    own, other = prompt.ids[now.end : now.after], earlier.ids[before.end : before.after]
    held[now.end : now.end + common_prefix(own, other)] = True
