"""A sweep on a Ray cluster of two nodes that share no folder, where Ray is installed (extra `ray`)."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

pytest.importorskip("ray")
pytest.importorskip("hydra_plugins.hydra_ray_launcher")
pytestmark = pytest.mark.slow

GRID = (
    "--multirun",
    "experiment=multi_turn",
    "engine=replay",
    "filter.max_conversations=6",
    "engine.num_blocks=257,300",
)


def table(repository: Path, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "cachelab", *GRID, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(repository / "src")},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = pyarrow.parquet.read_table(next(folder.glob("multirun/*/*/sweep/jobs.parquet"))).to_pylist()
    return [{k: v for k, v in row.items() if k not in ("run_id", "duration_s")} for row in rows]


def test_sweep_on_two_ray_nodes_gives_the_serial_table(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(repository / "src"))  # the nodes' workers inherit it
    (tmp_path / "node").mkdir()
    monkeypatch.chdir(tmp_path / "node")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        address = f"hydra.launcher.ray.init.address={cluster.address}"
        on_ray = table(repository, tmp_path / "ray", "hydra/launcher=ray", address)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert len(on_ray) == 2
    assert on_ray == table(repository, tmp_path / "serial")
