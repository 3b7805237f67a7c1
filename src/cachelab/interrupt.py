"""Ends a run in order on SIGINT, SIGTERM and SIGHUP: it is tracked as KILLED, with its log.

A signal raises an exception in the main thread. The exception can be lost: Python ignores exceptions in a weakref
callback or a `__del__`, and a library may catch all of them. So the signal is also stored, and raised again until the
program is ending because of it.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType

from cachelab.sqlite_address import is_sqlite

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPEAT_S = 0.25
PATIENCE_S = 10.0
"""Seconds after the first signal in which further ones are ignored; a later one interrupts the clean-up."""


class Interrupted(KeyboardInterrupt):
    """A signal told the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@dataclass
class _Received:
    """The first signal and its time (seconds); `deferred` counts the open contexts that must not be interrupted."""

    number: int | None = None
    at_s: float = 0.0
    deferred: int = 0


_received = _Received()


def raise_on_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise Interrupted in the main thread, again if it is lost."""
    global _received
    _received = _Received()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup: the user wants it ignored
            signal.signal(number, _receive)
    signal.signal(signal.SIGALRM, _repeat)
    sys.unraisablehook = _unraisable


def hold_signals() -> None:
    """From now on a signal is only stored. Raises Interrupted for a signal that arrived before."""
    _received.deferred += 1
    check()


def default_signals() -> None:
    """From now on a signal ends the process at once, without clean-up."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in SIGNALS:
        if signal.getsignal(number) is _receive:
            signal.signal(number, signal.SIG_DFL)


def received() -> Interrupted | None:
    """The signal that arrived, even if its exception was lost; None without one."""
    return None if _received.number is None else Interrupted(_received.number)


def check() -> None:
    """Raise Interrupted if a signal arrived and its exception is not being handled now."""
    if (interrupted := received()) is not None and not _on_its_way():
        raise interrupted


@contextmanager
def deferred() -> Iterator[None]:
    """Delay signals until the end of the outermost such context, which then raises Interrupted. Keep it short."""
    _received.deferred += 1
    try:
        yield
    finally:
        _received.deferred -= 1
    if not _received.deferred:
        check()


def transaction(address: str | None) -> AbstractContextManager[None]:
    """A context for requests to the database at the address: a signal waits for its end if it is an SQLite file.

    SQLAlchemy does not survive an exception in the middle of a transaction: the signal becomes another error, and the
    lock may stay. A request to a server is interrupted, because it may wait for a long time.
    """
    return deferred() if address is not None and is_sqlite(address) else nullcontext()


def _receive(number: int, frame: FrameType | None) -> None:
    if _received.number is None:
        _received.number, _received.at_s = number, time.monotonic()
    elif _on_its_way() and time.monotonic() - _received.at_s < PATIENCE_S:
        return
    signal.setitimer(signal.ITIMER_REAL, REPEAT_S, REPEAT_S)
    if not _received.deferred:
        raise Interrupted(_received.number)


def _repeat(number: int, frame: FrameType | None) -> None:
    if not _received.deferred:
        check()


def _on_its_way() -> bool:
    """Whether the interrupted code is handling an Interrupted: in a finally, an except or an `__exit__`."""
    error = sys.exception()
    while error is not None:
        if isinstance(error, Interrupted):
            return True
        error = error.__context__
    return False


def _unraisable(what: "sys.UnraisableHookArgs") -> None:
    if not isinstance(what.exc_value, Interrupted):  # Interrupted is raised again later
        sys.__unraisablehook__(what)
