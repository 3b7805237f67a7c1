"""Texts of prompts as a report shows them: one line, no control characters, cut, with the difference marked."""

from dataclasses import dataclass

from rich.cells import cell_len

from cachelab.explanation import Cause

_SHOWN_AS = {"\n": "⏎", "\r": "␍", "\t": "⇥", " ": " "}
_CUT = "…"
_SHARE = 0.6  # of the width for the changed text, the rest for the text around it


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text with one marked part: `left`, `changed` and `right` are its three pieces, each printable."""

    left: str
    changed: str
    right: str

    @property
    def marked(self) -> str:
        """The text in one piece, the changed part in brackets."""
        return f"{self.left}[{self.changed}]{self.right}"


def printable(text: str) -> str:
    """The text in one line without control characters: a line break is ⏎, a tab ⇥, others are written as numbers."""
    return "".join(_SHOWN_AS.get(letter) or (letter if letter.isprintable() else _escaped(letter)) for letter in text)


def before_and_after(cause: Cause, width: int) -> tuple[ShownText, ShownText] | None:
    """The cause's text earlier and now, each in at most `width` terminal cells; None where there is no text to show.

    Blanks are shown as · if the two changed parts differ in white space only.
    """
    left, right = (cause.example.left, cause.example.right) if cause.example else ("", "")
    texts = [cause.example.before, cause.example.after] if cause.example else [cause.before, cause.after]
    if not any((*texts, left, right)):
        return None
    shown = [printable(text) for text in texts]
    if "".join(texts[0].split()) == "".join(texts[1].split()):
        shown = [text.replace(" ", "·") for text in shown]
    before, after = (_fitted(printable(left), text, printable(right), width) for text in shown)
    return before, after


def cut_middle(text: str, width: int) -> str:
    """The text in at most `width` cells, with … in place of its middle."""
    if cell_len(text) <= width:
        return text
    room = max(width - 1, 0)
    return f"{_first(text, room - room // 2)}{_CUT}{_last(text, room // 2)}"


def _fitted(left: str, changed: str, right: str, width: int) -> ShownText:
    room = width - 2  # the brackets
    around = cell_len(left) + cell_len(right)
    changed = cut_middle(changed, max(int(room * _SHARE), room - around))
    rest = room - cell_len(changed)
    for_left = max(rest // 2, rest - cell_len(right))
    if cell_len(left) > for_left:
        left = f"{_CUT}{_last(left, for_left - 1)}"
    for_right = rest - cell_len(left)
    if cell_len(right) > for_right:
        right = f"{_first(right, for_right - 1)}{_CUT}"
    return ShownText(left, changed, right)


def _first(text: str, width: int) -> str:
    taken = 0
    for place, letter in enumerate(text):
        taken += cell_len(letter)
        if taken > width:
            return text[:place]
    return text


def _last(text: str, width: int) -> str:
    return _first(text[::-1], width)[::-1]


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
