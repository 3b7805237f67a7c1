"""Standard output whose failure does not end the run."""

import os
import sys
from typing import Any, TextIO, cast


class Output:
    """A text stream that stores its first error in `error` and discards all later text."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    @classmethod
    def install(cls) -> "Output":
        """Replace sys.stdout."""
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
            # The text in the stream's buffer goes there too: Python would report an error for it at exit.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
