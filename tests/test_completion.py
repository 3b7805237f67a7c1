import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cachelab.completion import FISH, FISH_UNINSTALL, SCRIPT, UNINSTALL, completed_flags, typed_line


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


def test_bash_forgets_what_is_uninstalled() -> None:
    shown = "complete -p cachelab; declare -F _cachelab_complete"
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{SCRIPT}\n{shown}\n{UNINSTALL}\n{shown}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "complete -o default -o nospace -F _cachelab_complete cachelab",
        "_cachelab_complete",
    ]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_python_m_cachelab_and_nothing_else_of_python(repository: Path, tmp_path: Path) -> None:
    lines = ["python -m cachelab order=by_", "python -m cachelab --mult", "python -m json order=by_"]
    asked = "\n".join(f"complete -C '{line}'; echo ," for line in lines)
    (tmp_path / "python").symlink_to(sys.executable)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"{FISH}\n{asked}\n{FISH_UNINSTALL}\ncomplete -C '{lines[0]}'"],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(repository / "src"), *sys.path]),
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    orders, flags, others, after = (part.split() for part in re.split(r"^,$", done.stdout, flags=re.M))
    assert (orders, flags) == (["order=by_arrival", "order=by_conversation", "order=by_turn"], ["--multirun"])
    assert (others, after) == ([], [])
