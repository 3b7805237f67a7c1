"""A dataset that is read once for all jobs of a process."""

import glob
import os
from collections import OrderedDict
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from cachelab.dataset.base import Dataset, LoadedDataset

MEMO_SIZE = 2  # datasets held in memory: a sweep seldom goes over more than two at a time

_memo: OrderedDict[str, LoadedDataset] = OrderedDict()


@dataclass(frozen=True)
class LoadedOnce:
    """The dataset behind a memo: read again when its settings, or the size or time of a file among them, change."""

    dataset: Dataset

    def load(self) -> LoadedDataset:
        key = self._key()
        if key not in _memo:
            _memo[key] = self.dataset.load()
            while len(_memo) > MEMO_SIZE:
                _memo.popitem(last=False)
        _memo.move_to_end(key)
        return _memo[key]

    def _key(self) -> str:
        names: list[str] = [field.name for field in fields(self.dataset)] if is_dataclass(self.dataset) else []
        values = [getattr(self.dataset, name) for name in names]
        named = [os.path.expanduser(value) for value in values if isinstance(value, str)]
        files = [Path(path) for name in named for path in _files(name)]
        stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return repr((type(self.dataset).__module__, repr(self.dataset), stamps))


def _files(name: str) -> list[str]:
    """The files that a setting names: a file, the files of a folder, or those that match a glob."""
    # os.path.isfile is False for what is no path at all, where Path.is_file raises.
    if os.path.isfile(name):
        return [name]
    if os.path.isdir(name):
        found = [entry.path for entry in os.scandir(name)]
    else:
        found = glob.glob(name, recursive=True) if glob.has_magic(name) and "\0" not in name else []
    return sorted(path for path in found if os.path.isfile(path))
