"""The command line: composes the config, builds the parts, runs them, returns the objective."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.complaint import complaint
from cachelab.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cachelab.experiment import Result
    from cachelab.tracking.base import Tracking
    from cachelab.tracking.description import RunDescription


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
        start = hydra.main(config_path=str(config_dir()), config_name="config", execution_whitelist=["cachelab.*"])
        start(task)()
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
    from cachelab.report.artifacts import write_artifacts
    from cachelab.report.console import print_summary
    from cachelab.report.progress import progress_bar

    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    root = build_root(plain)
    tracking: Tracking = build_part("tracking", root.tracking, root.plugins)
    description = describe_job(plain)
    with tracking.start(description) as tracked:
        parts = build_parts(root)
        workload = experiment.prepare(parts)
        tracked.log_dataset(workload.dataset)
        tracked.log_workload(workload.numbers)
        if root.export is not None:
            build_part("export", root.export, root.plugins).write(workload.schedule)
        with progress_bar(len(workload.schedule)) as progress:
            result = experiment.run(parts, workload, progress)
        values = objective(root.objective, result)
        folder = write_artifacts(result, description, parts.metrics, parts.tokenizer.name)
        tracked.log_result(result.numbers, folder)
    print_summary(result, description, tracked.where_to_look)
    return values


def describe_job(plain: dict[str, Any]) -> "RunDescription":
    """What is known of the job before it runs, from its config and from Hydra's."""
    import yaml
    from hydra.core.hydra_config import HydraConfig

    from cachelab.engine.vllm_core import installed_vllm
    from cachelab.tracking.description import describe

    job = HydraConfig.get()
    overrides = list(job.overrides.task)
    return describe(
        run_name=run_name(overrides, job.runtime.choices),
        config=plain,
        config_yaml=yaml.safe_dump(plain, sort_keys=False, allow_unicode=True),
        overrides=overrides,
        command=shlex.join(["python", "-m", "cachelab", *overrides]),
        engine=job.runtime.choices["engine"],
        engine_version=installed_vllm(),
        output_dir=Path(job.runtime.output_dir),
    )


def run_name(overrides: Sequence[str], choices: Mapping[str, str | None]) -> str:
    """What makes this run different: its experiment (else its trace), then what was overridden."""
    differs = [override for override in overrides if not override.startswith(("experiment=", "tracking.", "hydra."))]
    return " ".join([choices.get("experiment") or f"trace={choices['trace']}", *differs])


def objective(names: Sequence[str], result: "Result") -> float | tuple[float, ...]:
    """The metrics named, in order. Raises ConfigError that names one that this run does not have."""
    values = result.numbers.values
    if absent := next((name for name in names if name not in values), None):
        raise ConfigError(
            f"objective: this run has no metric {absent} (undefined here, or misspelt: see docs/metrics.md)"
        )
    chosen = tuple(values[name] for name in names)
    return chosen[0] if len(chosen) == 1 else chosen
