"""The pydantic config of all classes that the config builds, and the types of their common fields."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
"""For each class that an option in conf/ names: no conversion of types, no unknown field."""

LARGEST_COUNT = 2**31 - 1
"""The largest count in a setting: the largest 32-bit integer, since vLLM and the replay use 32-bit arrays."""

Count = Annotated[int, Field(gt=0, le=LARGEST_COUNT)]
"""A number of things: 1 to LARGEST_COUNT."""


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
"""The path of a file or folder, in which `~` is allowed. Whether it exists is checked when it is used."""
