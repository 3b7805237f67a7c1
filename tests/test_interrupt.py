"""Signals that end a run in order, even where Python loses their exception."""

import os
import signal
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from cachelab import interrupt
from cachelab.interrupt import SIGNALS, Interrupted, check, deferred, raise_on_signals, received, transaction


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    hook = sys.unraisablehook
    monkeypatch.setattr(interrupt, "_received", interrupt._Received())
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


def wait_for(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_raises_with_the_exit_code_of_a_shell(number: signal.Signals) -> None:
    raise_on_signals()
    with pytest.raises(Interrupted) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == 128 + number
    assert isinstance(caught.value, KeyboardInterrupt)


def test_signal_that_nohup_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_on_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert received() is None


class Thing:
    """What a weak reference may be to."""


def swallowed_by_a_weakref_callback() -> None:
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    del thing
    assert reference() is None


def swallowed_by_a_finaliser() -> None:
    class Last(Thing):
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    last = Last()
    del last


def swallowed_by_a_library() -> None:
    with suppress(BaseException):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("swallow", [swallowed_by_a_weakref_callback, swallowed_by_a_finaliser, swallowed_by_a_library])
def test_signal_that_was_swallowed_is_raised_again(
    swallow: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    raise_on_signals()
    swallow()
    with pytest.raises(Interrupted, match="SIGTERM"):
        wait_for(5)
    assert capsys.readouterr().err == ""


def test_check_raises_what_was_swallowed() -> None:
    raise_on_signals()
    check()
    swallowed_by_a_library()
    with pytest.raises(Interrupted):
        check()


def test_signal_on_its_way_does_not_disturb_the_clean_up() -> None:
    raise_on_signals()
    cleaned = False

    def run() -> None:
        nonlocal cleaned
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            wait_for(3 * interrupt.REPEAT_S)
            os.kill(os.getpid(), signal.SIGINT)  # somebody presses Ctrl-C again
            try:
                _ = 1 / 0
            except ZeroDivisionError:  # an error handled inside is no end of the signal
                os.kill(os.getpid(), signal.SIGTERM)
            cleaned = True

    with pytest.raises(Interrupted, match="SIGINT"):
        run()
    assert cleaned


def test_signal_after_the_patience_breaks_off_the_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    raise_on_signals()
    monkeypatch.setattr(interrupt, "PATIENCE_S", 0.0)
    finished = False

    def run() -> None:
        nonlocal finished
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            finished = True

    with pytest.raises(Interrupted):
        run()
    assert not finished


def test_deferred_signal_waits_for_the_end_of_the_context() -> None:
    raise_on_signals()
    done = False

    def run() -> None:
        nonlocal done
        with deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            wait_for(3 * interrupt.REPEAT_S)
            done = True

    with pytest.raises(Interrupted):
        run()
    assert done


def test_deferred_signal_waits_for_the_outermost_context() -> None:
    raise_on_signals()
    done = []

    def run() -> None:
        with deferred():
            with deferred():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("inner")
            wait_for(3 * interrupt.REPEAT_S)
            done.append("outer")
        done.append("after")

    with pytest.raises(Interrupted):
        run()
    assert done == ["inner", "outer"]


@pytest.mark.parametrize(
    ("address", "waits"), [("sqlite:///runs.db", True), ("http://127.0.0.1:5000", False), (None, False)]
)
def test_signal_waits_for_the_end_of_a_transaction_on_a_file(address: str | None, waits: bool) -> None:
    raise_on_signals()
    done = False

    def run() -> None:
        nonlocal done
        with transaction(address):
            os.kill(os.getpid(), signal.SIGTERM)
            done = True

    with pytest.raises(Interrupted):
        run()
    assert done is waits
