"""The files that `dataset.path` names: one file, a folder, or a glob."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cachelab.errors import DatasetError


@dataclass(frozen=True, slots=True)
class SourcePaths:
    """Files in the order of their names, and how many other entries a folder has."""

    paths: tuple[str, ...]
    skipped: int = 0


def source_paths(path: str, suffixes: Sequence[str]) -> SourcePaths:
    """The files that a path stands for. A folder stands for the files in it whose name ends with one of `suffixes`.

    A path with `*`, `?` or `[` is a glob, unless there is a file of that name; `**` goes through folders. A single file
    is given as it is, and read or refused by its reader. Raises DatasetError if a folder or a glob holds no file.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        entries = sorted(place.iterdir())
        found = tuple(str(entry) for entry in entries if entry.is_file() and entry.name.endswith(tuple(suffixes)))
        if not found:
            wanted = ", ".join(f"*{suffix}" for suffix in suffixes)
            raise DatasetError(
                f"{path}: the folder holds no {wanted}: set dataset.path to a folder with files, or a file"
            )
        return SourcePaths(found, len(entries) - len(found))
    if glob.has_magic(path) and not place.exists():
        matches = (match for match in glob.glob(str(place), recursive=True) if Path(match).is_file())
        if not (found := tuple(sorted(matches))):
            raise DatasetError(f"{path}: no file matches: set dataset.path to a file, a folder, or another glob")
        return SourcePaths(found)
    return SourcePaths((path,))
