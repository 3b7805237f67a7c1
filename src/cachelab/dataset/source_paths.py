"""The files that `dataset.path` names: one file, a folder, or a pattern."""

import glob
import os
from dataclasses import dataclass

from cachelab.dataset.source_bytes import path_name
from cachelab.errors import DatasetError

SUFFIXES = (".json", ".jsonl", ".ndjson", ".traj", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".traj.gz", ".parquet")
"""Endings of the files that are read from a folder. A single file and the files of a pattern may have any name."""


@dataclass(frozen=True, slots=True)
class SourcePaths:
    """Files in the order of their paths, and the number of other files in the folder."""

    paths: tuple[str, ...]
    skipped: int = 0


def source_paths(path: str) -> SourcePaths:
    """The files that a path names: one file, the files of a folder and its subfolders, or the matches of a pattern.

    From a folder only files with a known ending are read; hidden files and folders are not counted. A path with `*`,
    `?` or `[` is a pattern unless such a file exists; `**` also matches subfolders. Raises DatasetError if a folder or
    a pattern has no file. A path that does not exist is returned unchanged; opening it then raises the error.
    """
    name = path_name(path)
    found = named_files(path)
    if os.path.isdir(os.path.expanduser(path)):
        files = tuple(file for file in found if file.lower().endswith(SUFFIXES))
        if not files:
            raise DatasetError(
                f"{name}: the folder holds no file that ends in {', '.join(SUFFIXES)}: set dataset.path to a file or a "
                "pattern such as logs/*.log"
            )
        return SourcePaths(files, len(found) - len(files))
    if not found:
        raise DatasetError(f"{name}: no file matches this pattern: set dataset.path to a file, a folder or a pattern")
    return SourcePaths(tuple(found))


def named_files(path: str) -> list[str]:
    """All files that a path names, sorted; only the path if it is neither a folder nor a pattern."""
    place = os.path.expanduser(path)
    if os.path.isdir(place):
        return sorted(
            os.path.join(top, file)
            for top, _, files in os.walk(place)
            for file in files
            if not is_hidden(os.path.relpath(os.path.join(top, file), place))
        )
    if glob.has_magic(path) and "\0" not in path and not os.path.lexists(place):
        return sorted(file for file in glob.glob(place, recursive=True) if not os.path.isdir(file))
    return [path]


def is_hidden(relative: str) -> bool:
    """Whether the name of the file or of one of its folders starts with a dot (.git, the hub's .cache)."""
    return any(part.startswith(".") for part in relative.split(os.sep))
