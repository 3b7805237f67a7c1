import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cachelab.pipeline import Result
from cachelab.report.console import print_summary
from cachelab.tracking.description import RunDescription

TITLES = {"Hit rates", "Requests", "Turns", "Block reuse", "Gap between two hits of a block", "Engine counters"}
WHERE = {"MLflow": "mlflow ui --backend-store-uri sqlite:///mlflow.db", "run id": "0123456789abcdef"}


def printed(result: Result, description: RunDescription, width: int, *, terminal: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, highlight=False)
    print_summary(result, replace(description, output_dir=Path("outputs")), WHERE, console)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_summary_fits_the_width(result: Result, description: RunDescription, width: int) -> None:
    lines = printed(result, description, width).splitlines()

    assert max(map(len, lines)) <= width
    assert "first-prefill block hit rate 63.64 % (7 of 11 full prompt blocks)" in lines[:3]


def test_summary_two_columns_where_there_is_room(result: Result, description: RunDescription) -> None:
    narrow, wide = (printed(result, description, width).splitlines() for width in (80, 120))

    assert len(wide) < len(narrow)
    assert any(len(TITLES & set(re.split(r"  +", line.strip()))) == 2 for line in wide)
    assert not any(len(TITLES & set(re.split(r"  +", line.strip()))) == 2 for line in narrow)


def test_summary_plain_where_no_terminal(result: Result, description: RunDescription) -> None:
    text = printed(result, description, 80)

    assert text.isascii()
    assert "\x1b" not in text
    assert "\x1b" in printed(result, description, 80, terminal=True)


def test_summary_says_what_is_simulated(result: Result, description: RunDescription) -> None:
    text = printed(result, description, 80)

    assert "Latency and throughput (simulated)" in text
    assert "in seconds (simulated)" in text


def test_summary_where_to_look(result: Result, description: RunDescription) -> None:
    text = printed(result, description, 80)

    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in text
    assert "0123456789abcdef" in text
    assert text.rstrip().endswith("python -m cachelab experiment=multi_turn order=sessions")


def test_summary_never_breaks_a_line_to_copy(result: Result, description: RunDescription) -> None:
    command = "python -m cachelab " + " ".join(f"engine.args.option_{number}=true" for number in range(9))

    assert command in printed(result, replace(description, command=command), 80)


def test_summary_markup_in_names_is_text(result: Result, description: RunDescription) -> None:
    assert "[red]x" in printed(result, replace(description, run_name="[red]x"), 80)


def test_summary_nothing_completed(all_rejected: Result, description: RunDescription) -> None:
    text = printed(all_rejected, description, 80)

    assert "first-prefill block hit rate - (no completed request has a full block)" in text
    assert "prompt of 40 tokens leaves no room in max_model_len 32" in text
