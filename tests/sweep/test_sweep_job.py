"""The jobs of a sweep: told apart, named, put together from two sources."""

from pathlib import Path

from cachelab.sweep.sweep_job import SweepJob, labels, merged, named, swept


def job(number: int, *overrides: str, **more: object) -> SweepJob:
    return SweepJob(number=number, overrides=overrides, status="FINISHED", **more)  # type: ignore[arg-type]


GRID = [
    job(0, "trace=multi_turn", "order=by_turn", "dataset=sample"),
    job(1, "trace=multi_turn", "order=all_at_once", "dataset=sample"),
    job(2, "trace=single_turn", "order=by_turn", "dataset=sample"),
]


def test_swept_leaves_out_what_all_jobs_share() -> None:
    assert swept(GRID) == {"trace": ["multi_turn", "single_turn"], "order": ["by_turn", "all_at_once"]}


def test_labels_are_short_and_unique() -> None:
    assert labels([job(0, "experiment=multi_turn"), job(1, "experiment=single_turn")]) == ["multi_turn", "single_turn"]
    assert labels(GRID)[2] == "single_turn, by_turn"
    assert labels([job(0, "engine.num_blocks=257"), job(1, "engine.num_blocks=512")]) == ["257 blocks", "512 blocks"]
    assert labels([job(0, "a.b=1"), job(1, "a.b=1")]) == ["#0", "#1"]
    assert labels([job(0, "a.b=1"), job(1, "a.b=2"), job(2, "a.b=2")]) == ["b=1", "#1 b=2", "#2 b=2"]


def test_layers_are_shown_by_number_and_kind() -> None:
    groups = "[{kind:full,layers:10,heads:8,head_size:128},{kind:window,layers:50,heads:8,head_size:128,window:1024}]"
    jobs = [job(0, f"engine.layers={groups}"), job(1, "engine.layers=null"), job(2, "engine.layers=[{kind:flat}]")]
    assert labels(jobs) == ["10 full + 50 window (1,024)", "full attention", "layers=[{kind:flat}]"]


def test_named_finds_a_job_by_overrides_value_or_number() -> None:
    assert named(GRID, "trace=single_turn") == [GRID[2]]
    assert named(GRID, "trace=multi_turn order=by_turn") == [GRID[0]]
    assert named(GRID, "all_at_once") == [GRID[1]]
    assert named(GRID, "#2") == [GRID[2]]
    assert named(GRID, "single_turn, by_turn") == [GRID[2]]
    assert named(GRID, "trace=multi_turn") == GRID[:2]
    assert named(GRID, "trace=none") == []


def test_merged_prefers_the_store_and_keeps_what_it_lacks() -> None:
    here = Path("here")
    stored = [job(0, "a=1", run_id="r0"), job(1, "a=2", run_id="r1")]
    local = [job(0, "a=1", folder=here), job(1, "a=2", untracked="away", folder=here), job(2, "a=3", folder=here)]
    found = merged(stored, local)
    assert [(j.run_id, j.folder, j.untracked) for j in found] == [
        ("r0", here, None),
        (None, here, "away"),
        (None, here, None),
    ]
