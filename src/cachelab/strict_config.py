"""What every part of a run has in common: it is a frozen dataclass that pydantic checks, and so are its fields."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
"""The pydantic config of each class that a conf/ option names: no coercion, no unknown field."""

LARGEST_COUNT = 2**31 - 1
"""The largest count that a setting may hold: what a 32-bit integer holds, as in vLLM's and the replay's arrays."""

Count = Annotated[int, Field(gt=0, le=LARGEST_COUNT)]
"""How many of something: 1 to LARGEST_COUNT."""


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character ends the text for the operating system: leave it out")
    if not text.isprintable():
        raise ValueError("holds a character that cannot be printed: leave it out")
    return text


def _path(text: str) -> str:
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{str(error).rstrip('.').lower()}: write the path in full") from error
    if any(len(os.fsencode(name)) > 255 for name in path.parts):
        raise ValueError("a file name longer than 255 bytes cannot exist: shorten it")
    return text


Text = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_plain)]
"""A name, an address or another text of one printable line."""

FilePath = Annotated[Text, AfterValidator(_path)]
"""The path of a file or a folder as a person writes it, `~` included; whether it exists is seen when it is used."""
