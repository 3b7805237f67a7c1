"""How far a long stage has come: the stages report it, and whoever wants to show it listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int | None], None]
"""Gets what is done ("reading, MB"), how much of it is done, and the whole (None: unknown)."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report(what: str, done: int, whole: int | None) -> None:
    """Tell the listener of this context; without a listener nothing happens."""
    listener = _listener.get()
    if listener is not None:
        listener(what, done, whole)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call the listener with every report inside the context."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
