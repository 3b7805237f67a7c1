"""Standard output that may fail: a run's outcome does not depend on who reads its summary."""

import os
import sys
from typing import Any, TextIO, cast


class Output:
    """A text stream that remembers its first error, and from then on lets everything go; `error` is None before."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    @classmethod
    def install(cls) -> "Output":
        """Put one in the place of sys.stdout."""
        output = cls(sys.stdout)
        sys.stdout = cast(TextIO, output)
        return output

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError as error:
            self._fail(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self.error is None:
            self.error = error
            # What the stream still holds goes there too: Python would complain of it when it ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
