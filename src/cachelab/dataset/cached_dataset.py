"""A dataset that is read once for all jobs of a process."""

import os
from collections import OrderedDict
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from cachelab.dataset.base import Dataset, LoadedDataset
from cachelab.dataset.source_paths import named_files

MEMO_SIZE = 2  # the most datasets in memory: sweeps rarely use more than two

_memo: OrderedDict[str, LoadedDataset] = OrderedDict()


@dataclass(frozen=True)
class CachedDataset:
    """Reads a dataset once. Reads it again if its settings change, or the size or modification time of a file."""

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
        named = [value for value in values if isinstance(value, str)]
        paths = [os.path.expanduser(file) for value in named for file in named_files(value)]
        # os.path.isfile returns False for a text that is no path; Path.is_file raises.
        files = [Path(path) for path in paths if os.path.isfile(path)]
        stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return repr((type(self.dataset).__module__, repr(self.dataset), stamps))
