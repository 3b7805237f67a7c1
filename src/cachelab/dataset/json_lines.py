"""Finds the lines of JSON Lines that are not blank, without making a list of all lines."""

import re
from collections.abc import Iterator
from typing import AnyStr

_ROW_BYTES = re.compile(rb"\S[^\n]*")
_ROW_TEXT = re.compile(r"\S[^\n]*")


def numbered_lines(text: AnyStr, first: int = 1) -> Iterator[tuple[int, AnyStr]]:
    """Each line that is not blank, with its number. The first line of the text has the number `first`.

    Only a line feed ends a line. JSON text can contain U+2028 and other characters at which `splitlines` splits.
    """
    newline: AnyStr = b"\n" if isinstance(text, bytes) else "\n"
    rows = _ROW_BYTES.finditer(text) if isinstance(text, bytes) else _ROW_TEXT.finditer(text)
    number, counted = first, 0
    for row in rows:
        number += text.count(newline, counted, row.start())
        counted = row.start()
        # The line with its leading blanks, so that the column in an error message is right.
        yield number, text[text.rfind(newline, 0, row.start()) + 1 : row.end()]
