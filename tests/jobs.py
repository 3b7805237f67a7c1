"""A job of a sweep, described, for the tests of tracking."""

from pathlib import Path

from cachelab.tracking.description import RunDescription, SweepMember


def described(folder: Path, parent: str | None, number: int = 0, digest: str | None = "d0") -> RunDescription:
    """A job of a sweep that writes into <folder>/<number>."""
    output_dir = folder / str(number)
    output_dir.mkdir(parents=True, exist_ok=True)
    return RunDescription(
        run_name=f"job {number}",
        config={},
        config_yaml="a: 1\n",
        parameters={"a": "1"},
        tags={"cachelab.version": "0"},
        command=f"python -m cachelab order=by_turn engine.num_blocks={number}",
        output_dir=output_dir,
        overrides=("order=by_turn", f"engine.num_blocks={number}"),
        sweep=SweepMember(parent, number),
        job_digest=digest,
    )
