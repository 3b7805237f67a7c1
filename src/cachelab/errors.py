"""The errors that cachelab raises. Each message is one line: what is wrong, where, what to do.

* CachelabError
  x ConfigError      - a config value that is wrong
    + NothingKept    - a filter that drops every conversation (in a search: an infeasible trial)
  x DatasetError     - a source that cannot be read; names the file and the line, item or field
  x TokenizerError   - a tokenizer that cannot be loaded, or a conversation that it cannot encode
  x EngineError      - an engine that cannot be built, or that lost a request
  x TrackingError    - a tracking store that cannot be reached or written
  x StorageError     - a full disk; names the folder and the space needed
  x RequirementError - a run that ended, but does not meet the bounds of `require` (result.py)
"""


class CachelabError(Exception):
    """Base class of the errors that cachelab raises."""


class ConfigError(CachelabError):
    """A config value is wrong; the message names the key."""


class NothingKept(ConfigError):
    """A filter drops every conversation. `numbers` are the counts of the dataset and the filter."""

    def __init__(self, message: str, numbers: dict[str, float]) -> None:
        super().__init__(message, numbers)
        self.numbers = numbers

    def __str__(self) -> str:
        return str(self.args[0])


class DatasetError(CachelabError):
    """A source cannot be read; the message names the file and the line, item or field."""


class TokenizerError(CachelabError):
    """A tokenizer cannot be loaded, or cannot encode a conversation."""


class EngineError(CachelabError):
    """An engine cannot be built, or did not return a record for every request."""


class TrackingError(CachelabError):
    """A tracking store cannot be reached or written."""


class StorageError(CachelabError):
    """A disk is full; the message names the folder and the space needed."""
