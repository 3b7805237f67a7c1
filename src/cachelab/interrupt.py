"""SIGINT, SIGTERM and SIGHUP end a run in order: it is tracked as KILLED, with its log.

A signal becomes an exception in the main thread, and that can be lost: Python ignores what is raised inside a weakref
callback or a `__del__`, and a library may catch everything. So the signal is also remembered, and raised again until
it is on its way out of the program.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPEAT_S = 0.25
PATIENCE_S = 10.0
"""So long after the first signal, further ones do not disturb the clean-up; a later one breaks it off."""


class Interrupted(KeyboardInterrupt):
    """A signal that asks the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@dataclass
class _Received:
    """The first signal and when it came (seconds); `deferred` counts the sections that must not be interrupted."""

    number: int | None = None
    at_s: float = 0.0
    deferred: int = 0


_received = _Received()


def raise_on_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise Interrupted in the main thread, again if it gets lost."""
    global _received
    _received = _Received()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            signal.signal(number, _receive)
    signal.signal(signal.SIGALRM, _repeat)
    sys.unraisablehook = _unraisable


def hold_signals() -> None:
    """From now on a signal is only remembered; raises Interrupted for one that came before."""
    _received.deferred += 1
    check()


def default_signals() -> None:
    """From now on a signal ends the process at once: nothing is left to clean up."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in SIGNALS:
        if signal.getsignal(number) is _receive:
            signal.signal(number, signal.SIG_DFL)


def received() -> Interrupted | None:
    """The signal that came, whatever became of its exception; None if none came."""
    return None if _received.number is None else Interrupted(_received.number)


def check() -> None:
    """Raise Interrupted if a signal came whose exception is not on its way already."""
    if (interrupted := received()) is not None and not _on_its_way():
        raise interrupted


@contextmanager
def deferred() -> Iterator[None]:
    """Keep signals for the end of the context, which then raises Interrupted. What is inside must be short."""
    _received.deferred += 1
    try:
        yield
    finally:
        _received.deferred -= 1
    check()


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
    """Whether the interrupted code runs because of an Interrupted: in a finally, an except or an `__exit__`."""
    error = sys.exception()
    while error is not None:
        if isinstance(error, Interrupted):
            return True
        error = error.__context__
    return False


def _unraisable(what: "sys.UnraisableHookArgs") -> None:
    if not isinstance(what.exc_value, Interrupted):  # that one is raised again, in a better place
        sys.__unraisablehook__(what)
