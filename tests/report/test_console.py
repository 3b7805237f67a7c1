import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cachelab.fleet.base import Placement
from cachelab.pipeline import Result
from cachelab.report.console import print_summary
from cachelab.tracking.description import RunDescription
from report.conftest import MakeResult, record
from workloads import conversation

TITLES = {"Hit rates", "Requests", "Turns", "Block reuse", "Gap between two hits of a block", "Engine counters"}
WHERE = {"MLflow": "mlflow ui --backend-store-uri sqlite:///mlflow.db", "run id": "0123456789abcdef"}


def printed(
    result: Result, description: RunDescription, width: int, *, terminal: bool = False, verbose: bool = False
) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, highlight=False)
    print_summary(result, replace(description, output_dir=Path("outputs")), WHERE, console, verbose=verbose)
    return file.getvalue()


@pytest.fixture
def long_result(make_result: MakeResult) -> Result:
    """One conversation of 40 turns, each with 8 new prompt tokens; every second turn is evicted before the next."""
    chat = conversation("A", *((range(100 * turn, 100 * turn + 8), (7,)) for turn in range(40)))
    records = [record("A", turn, 9 * turn + 8, 8 * (9 * turn // 8) if turn % 2 else 0, 1, turn) for turn in range(40)]
    return make_result(chat, records, block_size=4)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_summary_has_at_most_40_lines(
    long_result: Result, description: RunDescription, width: int, terminal: bool
) -> None:
    one = replace(long_result, run=replace(long_result.run, notes=("a note that is too long for one line " * 4,)))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", printed(one, description, width, terminal=terminal))
    lines = plain.splitlines()
    copied = [line for line in lines if re.match(r"  (MLflow|run id|files|page|repeat) ", line)]

    assert len(lines) <= 40
    assert len(copied) == 5
    assert max(len(line) for line in lines if line not in copied) <= width
    assert "Turns" in lines
    assert any(line.startswith("0 ") for line in lines)
    assert any(line.startswith("39 ") for line in lines)
    assert len(printed(one, description, width, verbose=True).splitlines()) > 60


@pytest.mark.parametrize(("bounds", "losses"), [(3, True), (15, False), (50, True)])
def test_summary_has_the_tables_that_were_asked_for(
    long_result: Result, description: RunDescription, bounds: int, losses: bool
) -> None:
    names = {f"hit_rate/{number}": ">= 0" for number in range(bounds)}
    asking = replace(description, config={**description.config, "require": names})
    lines = printed(long_result, asking, 80).splitlines()

    assert len(lines) <= 40
    assert ("Requirements" in lines) == (bounds < 50)  # 50 do not fit into 40 lines
    assert ("Largest losses (share of the prompt tokens)" in lines) == losses


def test_summary_ends_with_headline_and_largest_loss(long_result: Result, description: RunDescription) -> None:
    lines = printed(long_result, description, 80).splitlines()

    assert lines[-2] == lines[2]
    assert lines[-1].startswith("largest loss: ")
    assert lines[-1].split(", ")[-1].split(" of")[0] in next(
        line for line in lines if re.match(r" +\d+\.\d\d %  ", line)
    )


@pytest.mark.parametrize("width", [80, 120])
def test_summary_fits_the_width(result: Result, description: RunDescription, width: int) -> None:
    lines = printed(result, description, width).splitlines()

    assert max(map(len, lines)) <= width
    assert "first-prefill block hit rate 63.64 % (7 of 11 full prompt blocks)" in lines[:3]


def test_summary_two_columns_where_there_is_room(result: Result, description: RunDescription) -> None:
    narrow, wide = (printed(result, description, width, verbose=True).splitlines() for width in (80, 120))

    assert len(wide) < len(narrow)
    assert any(len(TITLES & set(re.split(r"  +", line.strip()))) == 2 for line in wide)
    assert not any(len(TITLES & set(re.split(r"  +", line.strip()))) == 2 for line in narrow)


def test_summary_plain_where_no_terminal(result: Result, description: RunDescription) -> None:
    text = printed(result, description, 80)

    assert text.isascii()
    assert "\x1b" not in text
    assert "\x1b" in printed(result, description, 80, terminal=True)


def test_summary_says_what_is_simulated(result: Result, description: RunDescription) -> None:
    text = printed(result, description, 80, verbose=True)

    assert "Latency and throughput (simulated)" in text
    assert "in seconds (simulated)" in text


def test_summary_says_how_the_replicas_did(result: Result, description: RunDescription) -> None:
    placement = Placement(2, (0, 1, 0, -1), (0,) * 4, 0, 8, 2)
    fleet = replace(result, observation=replace(result.observation, placement=placement))

    assert "2 replicas hit 57.14 %, 75.00 %; imbalance 1.50;" in printed(fleet, description, 80).splitlines()
    assert "Replicas" in printed(fleet, description, 80, verbose=True).splitlines()
    assert "replicas" not in printed(result, description, 80).lower()


def test_summary_where_to_look(result: Result, description: RunDescription) -> None:
    text = printed(result, description, 80)

    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in text
    assert "0123456789abcdef" in text
    assert "  repeat  python -m cachelab experiment=multi_turn order=sessions\n" in text
    assert "report.verbose=true" in text


def test_summary_never_breaks_a_line_to_copy(result: Result, description: RunDescription) -> None:
    command = "python -m cachelab " + " ".join(f"engine.args.option_{number}=true" for number in range(9))

    assert command in printed(result, replace(description, command=command), 80)


def test_summary_markup_in_names_is_text(result: Result, description: RunDescription) -> None:
    assert "[red]x" in printed(result, replace(description, run_name="[red]x"), 80)


def test_summary_nothing_completed(all_rejected: Result, description: RunDescription) -> None:
    text = printed(all_rejected, description, 80)

    assert "first-prefill block hit rate - (no completed request has a full block)" in text
    assert "prompt of 40 tokens leaves no room in max_model_len 32" in text
