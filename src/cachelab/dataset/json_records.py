"""The records of JSON text, one by one: an array's items, JSON Lines, or objects one after another.

It uses the standard library's decoder piece by piece. ijson, the usual reader of large arrays, silently replaces lone
surrogates by "?" and silently keeps the last of two equal keys.
"""

import codecs
import re
from collections.abc import Iterator
from json import JSONDecodeError
from typing import Any

from cachelab.dataset.json_text import decode_json, decode_value, kind
from cachelab.dataset.length_only import refuse_length_only
from cachelab.errors import DatasetError

_SPACE = re.compile("[ \t\r\n]*")
_LONGEST_CUT = 16
"""An error this close (characters) to the end of a piece may be due to the cut in a number, a literal or an escape."""

ADVICE = "write a JSON array of objects, or JSON Lines (one object per line)"


def json_records(pieces: Iterator[bytes], name: str) -> Iterator[tuple[str, Any]]:
    """Each record with its place, as error messages name it. Memory: one piece of text and the longest record.

    Raises DatasetError that names the file (`name`) and the line or the item (from 0) if the text is not UTF-8, not
    JSON, cut off or empty.
    """
    text = _Window(pieces, name)
    first = text.next_character()
    if not first:
        raise DatasetError(f"{name}: the file is empty: get it again, or choose another file")
    if first == "[":
        yield from _items(text, name)
    elif first != "{":
        refuse_length_only(text.line_text(take=False), name)
        decode_json(text.line_text(), name, ADVICE, text.line)
        raise DatasetError(f"{name}: line {text.line} is not an object: {ADVICE}")
    elif text.first_line_is_complete():
        yield from _lines(text, name)
    else:
        while text.next_character():
            place = f"{name}: line {text.line}"
            yield place, text.value(place)


def _items(text: "_Window", name: str) -> Iterator[tuple[str, Any]]:
    text.take("[")
    index = 0
    while (character := text.next_character()) != "]":
        if index:
            if character != ",":
                raise DatasetError(_ended(f"{name}: item {index}", character, text.line, '"," or "]"'))
            text.take(",")
            text.next_character()
        place = f"{name}: item {index}"
        yield place, text.value(place)
        index += 1
    text.take("]")
    if character := text.next_character():
        raise DatasetError(f"{name}: line {text.line}: text after the end of the array: {ADVICE}")
    if not index:
        raise DatasetError(f"{name}: the array is empty: choose a file that holds conversations")


def _ended(place: str, character: str, line: int, expected: str) -> str:
    if not character:
        return f"{place}: the JSON is cut off at line {line}: the file is truncated, get it again"
    return f"{place}: not JSON ({expected} expected) at line {line}: {ADVICE}"


def _lines(text: "_Window", name: str) -> Iterator[tuple[str, Any]]:
    while text.next_character():
        line = text.line
        value = decode_json(text.line_text(), name, ADVICE, line)
        if not isinstance(value, dict):
            raise DatasetError(f"{name}: line {line} is {kind(value)}, not an object: {ADVICE}")
        yield f"{name}: line {line}", value


class _Window:
    """The part of a text in memory, from the first unread character on. `line`: the line of that character."""

    def __init__(self, pieces: Iterator[bytes], name: str) -> None:
        self.line = 1
        self._pieces, self._name = pieces, name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._buffer, self._at, self._bytes, self._ended = "", 0, 0, False
        self._left = 0  # characters of the buffer's first line that are no longer in the buffer

    def next_character(self) -> str:
        """Skip white space and return the next character without reading it; "" at the end."""
        while True:
            if match := _SPACE.match(self._buffer, self._at):
                self.line += self._buffer.count("\n", self._at, match.end())
                self._at = match.end()
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def take(self, character: str) -> None:
        """Read this character, which is the next one."""
        self._at += len(character)

    def line_text(self, take: bool = True) -> str:
        """The rest of the line, without its line end. With `take` it counts as read."""
        end = self._line_end()
        text = self._buffer[self._at : end]
        self._at = end if take else self._at
        return text

    def first_line_is_complete(self) -> bool:
        """Whether the next line is a complete JSON value, as in JSON Lines, and not the beginning of a longer one."""
        end = self._line_end()
        try:
            decode_json(self._buffer[self._at : end], self._name, ADVICE)
        except DatasetError as error:
            return not isinstance(error.__cause__, JSONDecodeError)
        return True

    def value(self, place: str) -> Any:
        """Read the JSON value that starts at the next character."""
        while True:
            try:
                value, end = decode_value(self._buffer, self._at)
            except JSONDecodeError as error:
                open_text = error.msg.startswith("Unterminated string")
                after = error.pos - self._at  # relative, because reading more moves the value in the buffer
                if (open_text or error.pos >= len(self._buffer) - _LONGEST_CUT) and self._more():
                    continue
                line, column = self._position(self._at + after)
                cut = open_text or self._at + after >= len(self._buffer.rstrip())
                what = "the JSON is cut off" if cut else f"not JSON ({error.msg.lower().removesuffix(' at')})"
                way_out = "the file is truncated, get it again" if cut else ADVICE
                raise DatasetError(f"{place}: {what} at line {line} column {column}: {way_out}") from error
            except DatasetError as error:
                at = "" if place.endswith(f": line {self.line}") else f" (line {self.line})"
                raise DatasetError(f"{place}{at}: {error}") from error
            except RecursionError as error:
                raise DatasetError(f"{place}: the JSON is nested too deeply: {ADVICE}") from error
            except ValueError as error:  # a number with more digits than Python reads
                raise DatasetError(f"{place}: not usable JSON ({str(error).split(';')[0]}): {ADVICE}") from error
            if not isinstance(value, dict):
                raise DatasetError(f"{place} is {kind(value)}, not an object: {ADVICE}")
            self.line += self._buffer.count("\n", self._at, end)
            self._at = end
            return value

    def _position(self, at: int) -> tuple[int, int]:
        """Line and column of an index of the buffer."""
        start = self._buffer.rfind("\n", 0, at)
        return self.line + self._buffer.count("\n", self._at, at), at - start + (self._left if start < 0 else 0)

    def _line_end(self) -> int:
        searched = self._at
        while (end := self._buffer.find("\n", searched)) < 0:
            searched = len(self._buffer) - self._at  # `_more` moves the unread text to the buffer's start
            if not self._more():
                return len(self._buffer)
        return end

    def _more(self) -> bool:
        """Read more text, at least as much as is unread. Returns False at the end.

        The buffer doubles, so that a long value is not decoded too often.
        """
        if self._ended:
            return False
        parts = [self._buffer[self._at :]]
        wanted = max(1, len(parts[0]))
        while wanted > 0 and not self._ended:
            piece = next(self._pieces, b"")
            self._ended = not piece
            try:
                parts.append(self._decoder.decode(piece, final=self._ended))
            except UnicodeDecodeError as error:
                at = self._bytes - (len(error.object) - len(piece)) + error.start
                raise DatasetError(
                    f"{self._name}: not UTF-8 at byte {at} (0x{error.object[error.start]:02x}): save the file as UTF-8"
                ) from error
            self._bytes += len(piece)
            wanted -= len(parts[-1])
        grown = sum(map(len, parts[1:])) > 0
        start = self._buffer.rfind("\n", 0, self._at)
        self._left = self._at - start - 1 + (self._left if start < 0 else 0)
        self._buffer, self._at = "".join(parts), 0
        return grown
