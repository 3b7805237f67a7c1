"""The command line: composes the config, builds the parts, runs them, returns the objective."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.complaint import complaint

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cachelab.experiment import Result


def config_dir() -> Path:
    """The config folder: beside the package in a wheel, at the top of the repository in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def main() -> None:
    """Entry point of `cachelab` and `python -m cachelab`. Exits with 1, and one line, on any error."""
    if len(sys.argv) == 1:
        from cachelab.overview import show

        show(config_dir())
        return
    import hydra

    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Hydra then raises instead of printing its own account of an error, which takes many lines.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(config_path=str(config_dir()), config_name="config")(task)()
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as exit_:
        if full_error and exit_.__cause__ is not None:
            raise exit_.__cause__ from None
        raise
    except Exception as error:
        if full_error:
            raise
        sys.exit(f"cachelab: {complaint(error)}")


def task(config: "DictConfig") -> float | tuple[float, ...]:
    """One job: run it, track it, report it. Returns the objective(s).

    A job on its own ends the process with one line; in a sweep the error goes to Hydra, which runs the other jobs.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    try:
        return run_job(config)
    except Exception as error:
        if HydraConfig.get().mode == RunMode.RUN:
            raise SystemExit(f"cachelab: {complaint(error)}") from error
        raise


def run_job(config: "DictConfig") -> float | tuple[float, ...]:
    """One job, errors and all. Raises CachelabError."""
    from omegaconf import OmegaConf

    from cachelab import experiment
    from cachelab.build import build_part, build_parts, build_root
    from cachelab.job import describe
    from cachelab.report.artifacts import write_artifacts
    from cachelab.report.console import print_summary
    from cachelab.report.progress import progress_bar

    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    root = build_root(plain)
    tracking = build_part("tracking", root.tracking, root.plugins)
    description = describe(root, plain)
    with tracking.start(description) as tracked:
        parts = build_parts(root)
        workload = experiment.prepare(parts)
        tracked.log_dataset(workload.dataset)
        with progress_bar(len(workload.schedule)) as progress:
            result = experiment.run(parts, workload, progress)
        folder = write_artifacts(result, description)
        tracked.log_result(result.numbers, folder)
    print_summary(result, description, tracked.where_to_look())
    return objective(root.objective, result)


def objective(names: list[str], result: "Result") -> float | tuple[float, ...]:
    """The metrics named, in order. Raises ConfigError that names one that this run does not have."""
    from cachelab.errors import ConfigError

    values = result.numbers.values
    if absent := next((name for name in names if name not in values), None):
        raise ConfigError(f"objective: this run has no metric {absent} (undefined here, or misspelt: see docs/metrics.md)")
    chosen = tuple(values[name] for name in names)
    return chosen[0] if len(chosen) == 1 else chosen
