"""The figures of a sweep and of a search, drawn from inputs that are awkward to draw."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from cachelab.sweep.comparison import arm_of, compare
from cachelab.sweep.hit_rate_figure import hit_rate
from cachelab.sweep.study_report import StudyReport
from cachelab.sweep.sweep_figures import differences, hit_rate_by_turn
from cachelab.sweep.sweep_job import SweepJob
from cachelab.sweep.trial import Trial
from figure_text import faults

HEADLINE = "hit_rate/first_prefill"
LONG = "/a/folder/whose/name/is/very/long/and/differs/only/at/its/end/"


def job(number: int, rate: float, **settings: object) -> SweepJob:
    overrides = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
    return SweepJob(number, overrides, "FINISHED", values={HEADLINE: rate, "hit_rate/ideal": max(rate, 0.5)})


def requests(hits: int, turns: int) -> dict[str, list[Any]]:
    rows = [(conversation, turn) for conversation in range(25) for turn in range(turns)]
    return {
        "conversation_id": [f"c{conversation}" for conversation, _ in rows],
        "turn_index": [turn for _, turn in rows],
        "outcome": ["completed"] * len(rows),
        "prompt_tokens": [80] * len(rows),
        "cached_tokens": [8 * min(hits, 1 + conversation % 3) for conversation, _ in rows],
        "prefill_index": list(range(len(rows))),
        "full_blocks": [10] * len(rows),
        "hit_blocks": [min(hits, 1 + conversation % 3) for conversation, _ in rows],
        "host_hit_blocks": [0] * len(rows),
        "ideal_hit_blocks": [9] * len(rows),
    }


def random_search(trials: int) -> list[SweepJob]:
    draws = random.Random(0)
    return [
        job(
            number,
            draws.random(),
            filter__min_turns=draws.randint(1, 9),
            filter__max_prompt_tokens=draws.randint(200, 300_000),
            filter__max_turns=draws.randint(8, 40),
        )
        for number in range(trials)
    ]


GRIDS: Mapping[str, list[SweepJob]] = {
    "flat": [job(n, 0.5, engine__num_blocks=size) for n, size in enumerate((65, 129, 257))],
    "zero": [job(n, 0.0, order=order) for n, order in enumerate(("by_turn", "by_conversation"))],
    "many sizes": [
        job(2 * n + k, 0.02 * n, engine__num_blocks=257 + 2**n, order=order)
        for n in range(20)
        for k, order in enumerate(("by_turn", "by_conversation"))
    ],
    "many bars": [job(n, n / 40, dataset__path=f"{LONG}{n}.json") for n in range(40)],
    "long names": [job(n, n / 3, dataset__path=f"{LONG}{n}.json", order="by_turn") for n in range(3)],
    "long curves": [
        job(10 * n + k, 0.1 * n, engine__num_blocks=100 * k + 257, dataset__path=f"{LONG}{n}.json")
        for n in range(5)
        for k in range(4)
    ],
    "large heat map": [
        job(20 * n + k, 0.05 * n, dataset__path=f"{LONG}{n}.json", filter__keep=f"an option with a name {k}")
        for n in range(12)
        for k in range(9)
    ],
    "search": random_search(40),
    "small search": random_search(7),
}


@pytest.mark.parametrize("name", GRIDS)
def test_hit_rates_can_be_read(name: str) -> None:
    figure = hit_rate(GRIDS[name])

    assert figure is not None
    assert faults(figure) == []


@pytest.mark.parametrize("name", ["search", "small search"])
def test_search_has_a_panel_per_setting_and_no_legend(name: str) -> None:
    figure = hit_rate(GRIDS[name])

    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == ["min_turns", "max_prompt_tokens", "max_turns"]
    assert all(axes.get_legend() is None for axes in figure.axes)


def test_star_of_a_search_is_the_best_job_of_the_rate_that_is_shown() -> None:
    """Jobs that are good at one hit rate can be bad at another one, or not have it."""
    rate = "hit_rate/later_turns"
    jobs = [
        SweepJob(
            entry.number, entry.overrides, "FINISHED", values={rate: 0.9 - 0.1 * n, **({HEADLINE: 0.2} if n else {})}
        )
        for n, entry in enumerate(random_search(7))
    ]
    figure = hit_rate(jobs, rate)

    assert figure is not None
    assert figure.get_suptitle() == "7 jobs, star: 90.00 %"
    assert [axes.get_lines()[0].get_ydata() for axes in figure.axes] == [[90.0]] * 3


TABLES: Mapping[str, dict[str, dict[str, list[Any]]]] = {
    "flat": {"a": requests(2, 3), "b": requests(2, 3)},
    "one turn": {"a": requests(2, 1), "b": requests(1, 1)},
    "40 turns": {f"{size} blocks": requests(size, 40) for size in range(12)},
    "zero": {"a": requests(0, 2), "b": requests(0, 2)},
    "long names": {f"{LONG}{number}.json": requests(number, 2) for number in range(12)},
}


@pytest.mark.parametrize("name", TABLES)
def test_turns_and_differences_can_be_read(name: str) -> None:
    arms = [arm_of(label, table) for label, table in TABLES[name].items()]
    figures = [
        hit_rate_by_turn(TABLES[name]),
        differences([compare(arm, arms[-1]) for arm in arms[:-1]]),
        differences([compare(arms[0], arms[-1])]),
    ]

    for figure in figures:
        assert figure is not None
        assert faults(figure) == []


def study(kind: str) -> StudyReport:
    draws = random.Random(3)
    objectives = ["hit_rate/first_prefill", "filter/tokens_kept_share"]
    keys = ["filter.min_turns", "filter.max_turns"]
    points = [(draws.random(), draws.random()) for _ in range(40)]
    if kind == "flat":
        points = [(0.5, 0.5)] * 40
    if kind == "zero":
        points = [(0.0, 0.0)] * 40
    if kind == "front":  # every trial is on the front
        points = [(number / 40, 1 - number / 40) for number in range(40)]
    if kind == "long names":
        objectives = ["price/with_a_name_that_is_far_too_long_for_an_axis", "explain/another_name_" + "very_" * 9]
        keys = [f"engine.args.{'long_' * 9}{number}" for number in range(6)]
        points = [(1e6 * a, 1e-3 * b) for a, b in points]
    trials = [
        Trial(number, "COMPLETE", {key: number for key in keys}, point, number % 7 != 3, f"r{number}")
        for number, point in enumerate(points)
    ]
    feasible = [trial for trial in trials if trial.feasible]
    best = [
        one.number
        for one in feasible
        if one.values and not any(_beats(other.values or (), one.values) for other in feasible)
    ]
    shares = {name: {key: 1 / len(keys) for key in keys} for name in objectives}
    return StudyReport("s", objectives, ["maximize", "maximize"], trials, best, shares)


def _beats(one: Any, other: Any) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


@pytest.mark.parametrize("kind", ["random", "flat", "zero", "front", "long names"])
def test_figures_of_a_search_can_be_read(kind: str) -> None:
    for name, figure in study(kind).draw().items():
        assert figure is not None
        assert (name, faults(figure)) == (name, [])


def test_front_is_in_percent() -> None:
    figure: Figure | None = study("front").draw()["pareto_front"]

    assert figure is not None
    axes = figure.axes[0]
    assert axes.get_xlabel() == "hit_rate/first_prefill (%), maximize"
    assert np.asarray(axes.lines[0].get_xdata()).max() == pytest.approx(97.5)


def test_equal_trials_of_the_front_are_one_point() -> None:
    found = study("flat")

    table = found.sections[0]
    assert [row[0] for row in table.rows] == ["0 +33"]  # 40 trials, 6 of them infeasible
    assert table.note.startswith("+N: N further trials")
    assert found.headlines[0].startswith("Pareto front: 1 point (34 trials) of 40 trials")
    assert found.best_values == {"best/hit_rate/first_prefill": 0.5, "best/filter/tokens_kept_share": 0.5}
