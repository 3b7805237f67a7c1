import os
import subprocess
import sys
from pathlib import Path

import pytest

from cachelab.completion import SCRIPT, completed_flags, typed_line


@pytest.mark.parametrize(
    "line",
    ["cachelab order=", "python -m cachelab order=", "/usr/bin/python3.11 -m cachelab order=", "./cachelab order="],
)
def test_line_is_that_of_cachelab(line: str) -> None:
    assert typed_line({"COMP_LINE": f"{line} x", "COMP_POINT": str(len(line))}) == {
        "COMP_LINE": "cachelab order=",
        "COMP_POINT": "15",
    }


def test_line_without_bash_is_left_alone() -> None:
    assert typed_line({}) == {}


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("cachelab --mult", ["--multirun"]),
        ("cachelab --config-", ["--config-dir", "--config-name", "--config-path"]),
        ("cachelab experiment=", []),
        ("cachelab --multirun ", []),
    ],
)
def test_flags_are_completed(line: str, flags: list[str]) -> None:
    assert completed_flags(line) == flags


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--mult"], ["--multirun"]),
        (["order=by_"], ["order=by_arrival", "order=by_conversation", "order=by_turn"]),
    ],
)
def test_bash_completes_python_m_cachelab(repository: Path, words: list[str], found: list[str]) -> None:
    whole = [sys.executable, "-m", "cachelab", *words]
    line = " ".join(whole)
    script = f"""{SCRIPT}
COMP_WORDS=({line}) COMP_CWORD={len(whole) - 1} COMP_LINE="{line}" COMP_POINT={len(line)}
_cachelab_complete
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PYTHONPATH": str(repository / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert sorted(done.stdout.split()) == found
