"""A sweep's report: which jobs are compared, what it writes, what it says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from cachelab.errors import ConfigError
from cachelab.sweep.study_report import StudyReport
from cachelab.sweep.sweep_figures import draw_sweep
from cachelab.sweep.sweep_job import SweepJob
from cachelab.sweep.sweep_report import MAX_ARMS, compared, note_text, report_sweep, write_sweep
from cachelab.sweep.sweep_table import job_table, jobs_section, outcome_line
from cachelab.sweep.trial import Trial

HEADLINE = "hit_rate/first_prefill"


def job(number: int, *overrides: str, status: str = "FINISHED", rate: float = 0.5, **more: Any) -> SweepJob:
    values = {HEADLINE: rate, "requests/completed": 30.0} if status == "FINISHED" else {}
    return SweepJob(number=number, overrides=overrides, status=status, values=values, **more)


def requests(hits: int, conversations: int = 30) -> dict[str, list[Any]]:
    rows = range(2 * conversations)
    return {
        "conversation_id": [f"c{row // 2}" for row in rows],
        "turn_index": [row % 2 for row in rows],
        "outcome": ["completed" for _ in rows],
        "prompt_tokens": [80 for _ in rows],
        "cached_tokens": [8 * hits for _ in rows],
        "prefill_index": list(rows),
        "full_blocks": [10 for _ in rows],
        "hit_blocks": [hits for _ in rows],
        "host_hit_blocks": [0 for _ in rows],
        "ideal_hit_blocks": [9 for _ in rows],
    }


ARMS = [job(0, "trace=multi_turn", rate=0.8), job(1, "trace=single_turn", rate=0.1)]
TABLES = {"multi_turn": requests(8), "single_turn": requests(1)}


def test_compared_takes_the_last_finished_job_for_baseline() -> None:
    jobs = [*ARMS, job(2, "trace=other", status="FAILED", error="out of blocks")]
    assert compared(jobs, None, searching=False) == (ARMS, ARMS[1])


def test_compared_takes_the_job_that_is_named() -> None:
    arms, baseline = compared(ARMS, "trace=multi_turn", searching=False)
    assert (arms, baseline) == ([ARMS[1], ARMS[0]], ARMS[0])


@pytest.mark.parametrize(("name", "words"), [("trace=none", "no finished job"), ("dataset=sample", "2 finished jobs")])
def test_compared_refuses_a_name_that_means_not_one_job(name: str, words: str) -> None:
    jobs = [job(0, "trace=multi_turn", "dataset=sample"), job(1, "trace=single_turn", "dataset=sample")]
    with pytest.raises(ConfigError, match=rf"comparison\.baseline={name}.*{words}"):
        compared(jobs, name, searching=False)


def test_compared_leaves_searches_and_large_sweeps_alone_unless_told() -> None:
    many = [job(number, f"engine.num_blocks={number}") for number in range(MAX_ARMS + 5)]
    assert compared(many, None, searching=False) == ([], None)
    assert compared(many[:3], None, searching=True) == ([], None)
    arms, baseline = compared(many, "#0", searching=True)
    assert (len(arms), baseline) == (MAX_ARMS, many[0])


def test_report_of_two_arms_leads_with_the_verdict() -> None:
    report = report_sweep("traces", ARMS, ARMS, ARMS[1], TABLES, [HEADLINE])
    assert report.headlines[0].startswith("multi_turn is higher than single_turn: +70.00 points")
    assert report.numbers["comparison/difference"] == pytest.approx(0.7)
    assert report.numbers["sweep/jobs"] == 2
    assert "| first_prefill | 80.00 % | 10.00 % | +70.00 |" in note_text(report)


def test_report_and_figure_follow_the_objective() -> None:
    tokens = "hit_rate/first_prefill_tokens"
    jobs = [
        replace(job(number, f"model={model}", f"engine.kv_cache_gib={gib}"), values={HEADLINE: 0.5, tokens: rate})
        for number, (model, gib, rate) in enumerate([("a", 10, 0.1), ("a", 20, 0.2), ("a", 40, 0.3), ("b", 10, 0.4)])
    ]
    report = report_sweep("models", ARMS, ARMS, ARMS[1], TABLES, [tokens])
    assert report.headlines[0].startswith(
        "multi_turn is higher than single_turn: +70.00 points of first_prefill_tokens"
    )
    figure = draw_sweep(jobs, {}, [], report.headline)["hit_rate"]
    assert figure is not None
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("engine.kv_cache_gib", "cached prompt tokens (%)")
    assert {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in axes.lines} == {
        "a": pytest.approx([10, 20, 30]),
        "b": pytest.approx([40]),
    }


def test_write_sweep_leaves_tables_text_and_figures(tmp_path: Path) -> None:
    failed = job(2, "trace=other", status="FAILED", error="out of | blocks")
    report = report_sweep("traces", [*ARMS, failed], ARMS, ARMS[1], TABLES, [HEADLINE])
    folder = write_sweep(report, tmp_path / "sweep", TABLES, "python -m cachelab --multirun")
    assert {path.name for path in folder.iterdir()} == {
        "jobs.csv",
        "jobs.parquet",
        "comparison.md",
        "report.html",
        "figures",
    }
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}.{kind}" for name in ("hit_rate", "hit_rate_by_turn", "differences") for kind in ("png", "svg")
    }
    rows = pyarrow.parquet.read_table(folder / "jobs.parquet").to_pylist()
    assert [(row["status"], row["reason"], row[HEADLINE]) for row in rows] == [
        ("FINISHED", None, 0.8),
        ("FINISHED", None, 0.1),
        ("FAILED", "out of | blocks", None),
    ]
    text = (folder / "comparison.md").read_text()
    assert "out of \\| blocks" in text
    assert "`figures/differences.png`" in text


def test_write_sweep_of_nothing_is_still_a_table(tmp_path: Path) -> None:
    report = report_sweep("nothing", [], [], None, {}, [HEADLINE])
    write_sweep(report, tmp_path / "sweep", {}, "python -m cachelab --multirun")
    assert "0 jobs: none ended" in (tmp_path / "sweep" / "comparison.md").read_text()


GRIDS = {
    "curves": [
        job(i, f"engine.num_blocks={n}", f"order={o}")
        for i, (n, o) in enumerate((n, o) for n in (1, 8, 64) for o in "ab")
    ],
    "heat_map": [job(i, f"trace={t}", f"order={o}") for i, (t, o) in enumerate((t, o) for t in "ab" for o in "cd")],
    "bars": [job(i, f"order={o}") for i, o in enumerate("abc")],
}


@pytest.mark.parametrize("shape", GRIDS)
def test_hit_rate_figure_fits_the_grid(shape: str) -> None:
    from cachelab.sweep.hit_rate_figure import hit_rate

    figure = hit_rate(GRIDS[shape])
    assert figure is not None
    axes = figure.axes[0]
    shown = {"curves": len(axes.lines) == 2, "heat_map": len(axes.images) == 1, "bars": len(axes.patches) == 3}
    assert [name for name, right in shown.items() if right] == [shape]


def test_jobs_section_shows_failed_jobs_of_many() -> None:
    many = [job(i, f"a.b={i}", "c=1" if i % 2 else "c=2") for i in range(50)]
    many[44] = job(44, "a.b=44", "c=2", status="FAILED", error="out of blocks")
    section = jobs_section(many, [HEADLINE])
    assert ("44", "44", "2", "FAILED") in {row[:4] for row in section.rows}
    assert section.note == "20 more in jobs.csv."
    assert section.columns[:4] == ("job", "b", "c", "status")


def test_outcome_line_counts_what_ended_how() -> None:
    jobs = [*ARMS, job(2, status="FAILED"), job(3, reused=True), job(4, untracked="away")]
    assert outcome_line(jobs) == "5 jobs: 4 finished, 1 failed (1 reused, 1 not tracked)"


def test_job_table_has_a_column_for_each_setting_that_differs() -> None:
    assert job_table(ARMS)["override:trace"] == ["multi_turn", "single_turn"]


def study(*objectives: str) -> StudyReport:
    trials = [
        Trial(0, "COMPLETE", {"filter.min_turns": 1}, (0.5, 0.9)[: len(objectives)], True, "r0"),
        Trial(1, "COMPLETE", {"filter.min_turns": 2}, (0.7, 0.6)[: len(objectives)], True, "r1"),
        Trial(2, "COMPLETE", {"filter.min_turns": 3}, (0.9, 0.1)[: len(objectives)], False, "r2"),
        Trial(3, "FAIL", {"filter.min_turns": 4}, None, True, None),
    ]
    best = [0, 1] if len(objectives) == 2 else [1]
    shares = {name: {"filter.min_turns": 1.0} for name in objectives}
    return StudyReport("s", objectives, ["maximize"] * len(objectives), trials, best, shares)


def test_study_of_two_objectives_reports_its_front(tmp_path: Path) -> None:
    found = study(HEADLINE, "filter/tokens_kept_share")
    assert found.headlines == ["Pareto front: 2 points of 4 trials of study s (1 infeasible, 1 failed)"]
    assert [row[0] for row in found.sections[0].rows] == ["1", "0"]
    assert all(found.draw().values())
    found.write(tmp_path)
    assert (tmp_path / "pareto_front.csv").read_text().splitlines() == [
        f"trial,state,feasible,run_id,filter.min_turns,{HEADLINE},filter/tokens_kept_share,trials_at_point",
        "1,COMPLETE,1,r1,2,0.7,0.6,1",
        "0,COMPLETE,1,r0,1,0.5,0.9,1",
    ]


def test_study_of_one_objective_names_the_best_trial() -> None:
    found = study(HEADLINE)
    assert found.headlines == [
        f"best of 4 trials of study s (1 infeasible, 1 failed): #1 filter.min_turns=2, {HEADLINE} 70.00 %"
    ]
    assert found.draw()["pareto_front"] is None
