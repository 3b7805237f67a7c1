"""Measures a sweep: trials per minute, and the time of each stage of a trial.

python bench/sweep.py [--dataset FILE] [--trials N] [override ...]

Runs experiment=tune_filter in this process, in an empty folder, with a timer around each stage.
"""

import argparse
import functools
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

seconds: dict[str, list[float]] = defaultdict(list)
memory_mb: list[float] = []


def main() -> None:
    """Run the sweep, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a ShareGPT file; default: the bundled sample")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    data = [f"dataset.path={options.dataset.resolve()}", "dataset=sharegpt"] if options.dataset else []
    instrument()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        arguments = ["--multirun", "experiment=tune_filter", f"hydra.sweeper.n_trials={options.trials}", *data]
        sys.argv = ["cachelab", *arguments, *options.overrides]
        from cachelab.cli import main as cachelab

        start = time.perf_counter()
        cachelab()
        total = time.perf_counter() - start
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        os.chdir("/")
    show(options.trials, total, size)


def show(trials: int, total: float, size: int) -> None:
    """Print the table: seconds of the first trial and of a later one, by stage."""
    first = seconds["whole trial"][0]
    rest = sum(seconds["whole trial"][1:])
    rate = 60 * (trials - 1) / rest
    print(f"\n{trials} trials in {total:.1f} s, the first in {first:.1f} s; then {rate:.0f} per minute")
    print(f"{size / trials / 1e6:.2f} MB on disk per trial; resident {memory_mb[0]:.0f} MB after the first trial,")
    print(f"{memory_mb[len(memory_mb) // 2]:.0f} MB half way, {memory_mb[-1]:.0f} MB at the end\n")
    print(f"{'stage':34}{'first, s':>10}{'later, mean s':>15}{'share':>8}")
    for name, found in seconds.items():
        later = sum(found[1:]) / max(1, len(found) - 1)
        print(f"{name:34}{found[0]:10.3f}{later:15.3f}{100 * sum(found[1:]) / rest:7.1f}%")


def instrument() -> None:
    """Put a timer around each stage of a trial."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  its import belongs to the start, not to a stage

    import cachelab.engine.sim
    import cachelab.job
    import cachelab.known_job
    import cachelab.pipeline
    import cachelab.report.artifacts
    from cachelab.dataset.cached_dataset import CachedDataset
    from cachelab.engine.vllm import core as vllm_core
    from cachelab.tokenizer.cached_tokenizer import CachedTokenizer
    from cachelab.tracking.mlflow.tracking import MlflowTracking
    from cachelab.tracking.offline import FallbackRun

    clock(cachelab.job, "run_job", "whole trial")
    clock(cachelab.known_job, "known_job", "  known before? (digest, store)")
    clock(CachedDataset, "load", "  dataset")
    clock(CachedTokenizer, "__call__", "  tokenizer")
    clock(cachelab.pipeline, "prepare", "  filter, trace, order (and both)")
    clock(vllm_core, "build_core", "  engine: build")
    clock(cachelab.engine.sim, "run_schedule", "  engine: run")
    clock(vllm_core, "close", "  engine: close")
    clock(cachelab.pipeline, "measure", "  metrics")
    clock(cachelab.report.artifacts, "write_artifacts", "  files")
    clock(MlflowTracking, "start", "  tracking: start")
    for name in ("log_dataset", "log_tags", "log_workload", "log_result", "__exit__"):
        clock(FallbackRun, name, f"  tracking: {name.strip('_')}")


def clock(owner: Any, name: str, label: str) -> None:
    """Time every call of owner.name and add up the times of each trial."""
    inner: Callable[..., Any] = getattr(owner, name)
    running = [0.0]
    whole = label == "whole trial"
    open_sums[label] = running

    @functools.wraps(inner)
    def timed(*arguments: Any, **keywords: Any) -> Any:
        start = time.perf_counter()
        try:
            return inner(*arguments, **keywords)
        finally:
            running[0] += time.perf_counter() - start
            if whole:
                memory_mb.append(resident_mb())
                for each, total in open_sums.items():
                    seconds[each].append(total[0])
                    total[0] = 0.0

    setattr(owner, name, timed)


open_sums: dict[str, list[float]] = {}


def resident_mb() -> float:
    """Resident memory of this process in MB: now, or the maximum if the system has no /proc."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
