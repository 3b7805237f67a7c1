"""Breaks a line between its clauses, where it does not fit."""

import re
import textwrap

_END_OF_CLAUSE = re.compile(r"(?<=[;:]) | (?=\()")


def in_clauses(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` letters, broken after ";" and ":" and in front of "(".

    A clause that is longer than a line is broken between words.
    """
    lines: list[str] = []
    for clause in _END_OF_CLAUSE.split(text):
        if lines and len(lines[-1]) + 1 + len(clause) <= width:
            lines[-1] += f" {clause}"
        else:
            lines += textwrap.wrap(clause, width, break_long_words=False, break_on_hyphens=False) or [clause]
    return lines
