"""What `python -m cachelab` alone shows."""

from pathlib import Path

import pytest

from cachelab.overview import description, options, show


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for group, option in (("order", "b"), ("order", "a"), ("experiment", "x"), ("hydra", "hidden")):
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / group / f"{option}.yaml").write_text(f"# @package _global_\n# what {option} is\n# more\nkey: 1\n")
    return tmp_path


def test_options_begin_with_experiments_and_leave_hydra_out(conf: Path) -> None:
    assert list(options(conf)) == [
        ("experiment", "x", "what x is"),
        ("order", "a", "what a is"),
        ("order", "b", "what b is"),
    ]


def test_description_of_a_file_without_a_comment_is_empty(tmp_path: Path) -> None:
    (tmp_path / "bare.yaml").write_text("key: 1\n")
    assert description(tmp_path / "bare.yaml") == ""


def test_show_prints_every_option(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(conf)
    printed = capsys.readouterr().out
    assert all(f"what {option} is" in printed for option in "abx")
