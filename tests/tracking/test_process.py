"""Whether a process is still there."""

import subprocess
import sys
from dataclasses import replace

from cachelab.tracking.process import Process


def test_process_this_is_alive_and_reads_back() -> None:
    this = Process.this()
    assert this.alive is True
    again = Process.of(str(this))
    assert again is not None
    assert (again.host, again.pid, again.alive) == (this.host, this.pid, True)


def test_process_gone_is_dead_even_when_its_number_is_given_away() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert replace(Process.this(), pid=done.pid).alive is False
    assert replace(Process.this(), born_s=Process.this().born_s - 3600).alive is False


def test_process_of_another_machine_is_unknown() -> None:
    assert replace(Process.this(), host="elsewhere").alive is None


def test_process_of_other_text_is_none() -> None:
    assert Process.of(None) is None
    assert Process.of("") is None
    assert Process.of("host pid born") is None
