"""Tables in any width: each number is printed whole, or its column is left out and named."""

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cachelab.pipeline import Result
from cachelab.report import console as printed
from cachelab.report.fitted import fitted
from cachelab.report.section import Section, count
from cachelab.report.sections import sections
from cachelab.sweep.comparison import Comparison, Difference
from cachelab.sweep.comparison_sections import comparison_sections, differences
from cachelab.sweep.console import print_sweep
from cachelab.sweep.study_report import StudyReport
from cachelab.sweep.sweep_job import SweepJob
from cachelab.sweep.sweep_report import SweepReport, report_sweep
from cachelab.sweep.sweep_table import jobs_section
from cachelab.sweep.trial import Trial
from cachelab.tracking.description import RunDescription

WIDTHS = (60, 80, 100, 160)
HEADLINE = "hit_rate/first_prefill"
NUMBER = re.compile(r"(?<!\S)[-+]?\d[\d,.]*(?!\S)")


def drawn(section: Section, width: int, *, terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None, highlight=False)
    console.print(printed.drawn(section, console, width, "summary.md"))
    return file.getvalue()


def assert_whole(section: Section, width: int, *, terminal: bool = False) -> None:
    text = drawn(section, width, terminal=terminal)
    assert max(map(len, text.splitlines())) <= width
    fits = fitted(section, width, 3 if terminal else 2)
    flowing = " ".join(text.split())
    for name in fits.left_out:
        assert " ".join(name.split()) in flowing
    assert len(fits.columns) + len(fits.left_out) == len(section.columns)
    shown = NUMBER.findall(text)
    for index in fits.columns:
        for row in section.rows:
            for number in NUMBER.findall(row[index]):
                assert number in shown, (number, section.columns[index], text)


def jobs(number: int, settings: int) -> list[SweepJob]:
    values = {HEADLINE: 0.85054, "hit_rate/ideal": 0.85054, "requests/completed": 12031.0, "requests/rejected": 1204.0}
    values |= {"blocks/total": 288500.0, "blocks/hit": 1234567.0, "reuse_gap/mean_s": 12.3456, "hit_rate/steady": 0.5}
    keys = ("engine.num_blocks", "order", "engine.max_num_batched_tokens", "filter.max_prompt_tokens", "trace")
    return [
        SweepJob(
            number=index,
            overrides=[f"{key}={100_000 * (index + 1)}" for key in keys[:settings]],
            status="FINISHED" if index else "FAILED",
            error=None if index else "engine.num_blocks: 100000 blocks cannot hold one request of max_model_len 8192",
            values=values,
        )
        for index in range(number)
    ]


def compared(arm: str, baseline: str) -> Comparison:
    rates = ("first_prefill", "first_prefill_tokens", "per_request_mean", "steady", "ideal", "of_ideal")
    found = {f"hit_rate/{n}": Difference(f"hit_rate/{n}", 0.9572, 0.0174, 0.91234, 0.96789) for n in rates}
    return Comparison(arm, baseline, 132, 1234, 5678, found)


def study() -> StudyReport:
    names = ("filter.max_prompt_tokens", "filter.min_turns", "filter.max_turns", "engine.num_blocks")
    trials = [Trial(n, "COMPLETE", dict.fromkeys(names, 1000 + n), (0.81234, 0.5), True, "f" * 32) for n in range(3)]
    objectives = (HEADLINE, "filter/tokens_kept_share")
    return StudyReport(
        "s", objectives, ("maximize",) * 2, trials, [0, 1], {o: {n: 0.2512 for n in names} for o in objectives}
    )


def sweep_sections() -> list[Section]:
    long = "engine.num_blocks=1025 order=by_conversation engine.max_num_batched_tokens=8192"
    found = [jobs_section(jobs(n, k), [HEADLINE, "filter/tokens_kept_share"]) for n in (2, 16) for k in (1, 3, 5)]
    found += [
        differences(compared("multi_turn", "single_turn")),
        differences(compared(long, f"{long} trace=single_turn")),
    ]
    for number in (2, 5, 16):
        names = [f"{long} {n}" for n in range(number)]
        found += comparison_sections(jobs(number, 2), names, [compared(name, "#0") for name in names[1:]])
        found += comparison_sections(jobs(number, 2), [f"arm{n}" for n in range(number)], [compared("arm1", "arm0")])
    return found + study().sections


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_table_of_a_sweep_prints_numbers_whole(width: int, terminal: bool) -> None:
    for section in sweep_sections():
        assert_whole(section, width, terminal=terminal)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_table_of_a_run_prints_numbers_whole(
    result: Result, all_rejected: Result, description: RunDescription, width: int, terminal: bool
) -> None:
    for one in (result, all_rejected):
        for section in sections(one, description, max_turns=12):
            for half in (width, (width - 2) // 2):
                assert_whole(section, half, terminal=terminal)


@pytest.mark.parametrize("width", WIDTHS)
def test_summary_never_exceeds_the_width(result: Result, description: RunDescription, width: int) -> None:
    for terminal in (False, True):
        file = io.StringIO()
        console = Console(file=file, width=width, force_terminal=terminal, color_system=None, highlight=False)
        printed.print_summary(result, description, {}, console, verbose=True)
        before, _, _ = file.getvalue().partition("Where to look")  # lines to copy are never broken
        assert max(map(len, before.splitlines())) <= width
        assert "4 of 4 requests" not in before
        for number in ("63.64", "45", "28"):
            assert number in NUMBER.findall(before)


@pytest.mark.parametrize("width", WIDTHS)
def test_sweep_says_which_columns_do_not_fit(width: int, tmp_path: Path) -> None:
    found = jobs(16, 5)
    report: SweepReport = report_sweep("s", found, [], None, {}, [HEADLINE])
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, highlight=False)
    print_sweep(report, {"files": str(tmp_path)}, console)
    text = " ".join(file.getvalue().split())
    assert ("85.05 %" in text) or ("see comparison.md" in text)
    assert text.endswith("page report.html")
    if width < 160:
        assert "see comparison.md:" in text


def test_a_difference_is_not_cut() -> None:
    """The difference of +93.98 points that was printed as +9."""
    section = differences(compared("multi_turn", "single_turn"))
    assert "+93.98" in NUMBER.findall(drawn(section, 80, terminal=False))


numbers = st.integers(0, 10**12).map(lambda n: count(float(n)))
words = st.text(st.sampled_from("abcdefgh_.= "), max_size=50)


@given(data=st.data(), width=st.integers(30, 170), terminal=st.booleans())
def test_any_table_prints_numbers_whole(data: st.DataObject, width: int, terminal: bool) -> None:
    columns = data.draw(st.integers(1, 12))
    left = frozenset(data.draw(st.sets(st.integers(0, columns - 1)))) | {0}
    cell = [words if index in left else numbers for index in range(columns)]
    names = tuple(data.draw(st.text(st.sampled_from("abcdef/_ "), min_size=1, max_size=25)) for _ in range(columns))
    rows = [tuple(data.draw(kind) for kind in cell) for _ in range(data.draw(st.integers(0, 4)))]
    assert_whole(Section("a table", names, rows, "", left), width, terminal=terminal)


def test_words_give_way_to_numbers() -> None:
    section = Section("t", ("name", "n"), [("a very long name of a thing", "1,234,567")])
    assert fitted(section, 20, 2).widths == [9, 9]
    assert fitted(section, 100, 2).widths == [27, 9]
    wide = Section("t", ("name", "n", "m"), [("averylongnameofathing", "1,234,567", "7,654,321")])
    assert fitted(wide, 35, 2).left_out == ["m"]
