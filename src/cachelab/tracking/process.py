"""Whether the process that started a run still exists."""

import os
import socket
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a machine. Its start time tells it from a later process with the same number."""

    host: str
    pid: int
    born_s: float

    @classmethod
    def this(cls) -> Self:
        import psutil

        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def of(cls, text: str | None) -> Self | None:
        """The process from the text that `str` gives; None for another text."""
        try:
            host, pid, born_s = (text or "").rsplit(" ", 2)
            return cls(host, int(pid), float(born_s))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.born_s:.2f}"

    @property
    def alive(self) -> bool | None:
        """Whether the process runs; None for a process of another machine."""
        import psutil

        if self.host != socket.gethostname():
            return None
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.born_s) < 5.0
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
