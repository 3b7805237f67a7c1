"""Digests of files and folders that a config names: a model's folder, a config.json, a template, step costs."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cachelab.dataset.source_paths import is_hidden
from cachelab.errors import ConfigError
from cachelab.model.tiny_model import TINY_NAMES

_PATH_KEYS = ("model", "config", "chat_template")
"""Last names of the keys, at any depth of `tokenizer` and `engine`, whose text may be a path."""

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
"""Files that a tokenizer does not read."""

_MAX_READ_BYTES = 64 << 20
"""A larger file is identified by its name, size and modification time."""


def file_digests(config: Mapping[str, Any]) -> dict[str, str]:
    """Dotted key -> SHA-256 (hex) of the file or folder that the key names.

    `config` is the resolved config. A text that is no existing path (a model's id on the hub, "tiny") is left out, and
    so is the dataset, which has a digest of its own. Raises ConfigError for a file that cannot be read.
    """
    found: dict[str, str] = {}
    for group in ("tokenizer", "engine"):
        for key, text in _texts(group, config.get(group)):
            if not _may_be_a_path(key, text):
                continue
            path = Path(text).expanduser()
            try:
                if path.exists():
                    found[key] = _digest(path, key)
            except OSError as error:
                why = f"{error.strerror}: {error.filename}" if error.filename else str(error)
                raise ConfigError(f"{key}={text}: cannot be read ({why}): name files that can be read") from error
    return found


def _may_be_a_path(key: str, text: str) -> bool:
    of_args = ".args." in key and "/" in text
    return of_args or key.endswith("cost.path") or (key.rpartition(".")[2] in _PATH_KEYS and text not in TINY_NAMES)


def _texts(key: str, node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _texts(f"{key}.{name}", value)
    elif isinstance(node, str):
        yield key, node


def _digest(path: Path, key: str) -> str:
    if path.is_dir() and key.endswith("kv_model.config"):
        path = path / "config.json"  # the only file that is read
    if not path.is_dir():
        return _file_digest(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and not is_hidden(str(file.relative_to(path))))
    if key.startswith("tokenizer."):
        files = [file for file in files if file.suffix not in _WEIGHTS]
    lines = [f"{file.relative_to(path)} {_file_digest(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _file_digest(file: Path) -> str:
    if not file.exists():
        return "missing"
    status = file.stat()
    if status.st_size > _MAX_READ_BYTES:
        return f"{status.st_size} bytes of {status.st_mtime_ns} ns"
    return _content_digest(file.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _content_digest(file: Path, size: int, mtime_ns: int) -> str:
    """SHA-256 (hex) of the file's bytes; computed again when its size or modification time changes."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
