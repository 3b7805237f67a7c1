"""Figures for a page, read from SVG files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_BYTES = 1_500_000
"""All figures of a page together; a page stays below 2 MB."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure as the text of an SVG element, and what it shows."""

    svg: "Markup"
    caption: str


def drawings(folder: Path, captions: Mapping[str, str]) -> tuple[list[Drawing], list[str]]:
    """The figures `<name>.svg` of the folder, by their captions, and the names of those that are too large.

    The files are cachelab's own, so that their text is not escaped again. A figure without a file is left out.
    """
    from markupsafe import Markup

    found, too_large, room = [], [], MOST_BYTES
    for name, caption in captions.items():
        path = folder / f"{name}.svg"
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        if len(text) > room:
            too_large.append(name)
            continue
        room -= len(text)
        found.append(Drawing(Markup(text[text.index("<svg") :]), caption))  # without the XML prolog
    return found, too_large
