"""Errors that a person can act on; each message is one line: what is wrong, where, what to do.

* CachelabError
  x ConfigError      - a config value that no part can work with
    + NothingKept    - a filter that drops every conversation (in a search: an infeasible trial)
  x DatasetError     - a source that cannot be read (names the file and the line, item or field)
  x TokenizerError   - a tokenizer that cannot be loaded or that cannot encode a conversation
  x EngineError      - an engine that cannot be built, or that lost a request
  x TrackingError    - a tracking store that cannot be reached or written
  x StorageError     - a folder whose disk has no room for what is written there
"""


class CachelabError(Exception):
    """Base of every error that cachelab raises on purpose."""


class ConfigError(CachelabError):
    """A config value is wrong; the message names the key."""


class NothingKept(ConfigError):
    """A filter drops every conversation. `numbers` are what dataset and filter counted."""

    def __init__(self, message: str, numbers: dict[str, float]) -> None:
        super().__init__(message, numbers)
        self.numbers = numbers

    def __str__(self) -> str:
        return str(self.args[0])


class DatasetError(CachelabError):
    """A source cannot be read; the message names the file and the line, item or field."""


class TokenizerError(CachelabError):
    """A tokenizer cannot be loaded or cannot encode what it was given."""


class EngineError(CachelabError):
    """An engine cannot be built, or did not account for every request."""


class TrackingError(CachelabError):
    """A tracking store cannot be reached or written."""


class StorageError(CachelabError):
    """A disk has no room; the message names the folder and the space needed."""
