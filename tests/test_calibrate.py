"""experiment=calibrate measures scheduler steps, and the simulator runs with them."""

from pathlib import Path

import pytest

from cachelab.engine.step_points import StepPoints
from faults import command


def cachelab(folder: Path, *words: str) -> str:
    done = command.run(folder, *words, "tracking=none", "artifacts=[requests]", limit_s=300, COLUMNS="100")
    assert done.code == 0, done.err
    return done.out


@pytest.mark.slow
def test_calibrate_writes_a_table_for_the_simulator(tmp_path: Path) -> None:
    few = ("filter.max_conversations=12", "engine.max_output_tokens=6")
    printed = cachelab(tmp_path, "experiment=calibrate", *few, "hydra.run.dir=measured")
    assert "error of the table on held-out steps, median" in printed
    path = tmp_path / "measured/artifacts/step_costs.csv"
    assert len(StepPoints.read(str(path))) > 10
    simulated = cachelab(
        tmp_path, "order=timed", "order.start=poisson", "engine/cost=table", f"engine.cost.path={path}", *few
    )
    assert "Simulated seconds are interpolated" in simulated
