"""The command line: composes the config, hands it to a job, says in one line what went wrong."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cachelab.complaint import complaint
from cachelab.interrupt import Interrupted, raise_on_signals

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cachelab.objective import Score, Scores

_OF_ANY_KEYS = tuple(
    f"{key}={{" for key in ("objective_constraints", "tracking.tags", "engine.args", "engine.real.args")
)


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
    from hydra.core.plugins import Plugins

    from cachelab.optuna_sweeper import OptunaSweeper

    Plugins.instance().register(OptunaSweeper)
    sys.argv[1:] = open_dictionaries(quoted_baseline(sys.argv[1:]))
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Hydra then raises instead of printing its own account of an error, which takes many lines.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    raise_on_signals()
    try:
        start = hydra.main(config_path=str(config_dir()), config_name="config", execution_whitelist=["cachelab.*"])
        start(task)()
    except Interrupted as signal:
        sys.exit(signal.exit_code)
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


def task(config: "DictConfig") -> "Score | Scores | None":
    """One job: run it, track it, report it. Returns the objective(s).

    A job on its own ends the process with one line; in a sweep the error goes to Hydra, which runs the other jobs.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from cachelab.job import leave_record, run_job, sync

    alone = HydraConfig.get().mode == RunMode.RUN
    try:
        if config.sync is not None:
            sync(config)
            return None
        value = run_job(config)
    except Exception as error:
        if alone:
            raise SystemExit(f"cachelab: {complaint(error)}") from error
        leave_record(config, error)
        raise
    if alone and value.outcome.untracked is not None:
        folder = HydraConfig.get().runtime.output_dir
        raise SystemExit(f"cachelab: the run could not be tracked; nothing is lost: python -m cachelab sync={folder}")
    return value


def quoted_baseline(arguments: Sequence[str]) -> list[str]:
    """The arguments with comparison.baseline=trace=single_turn in the quotes that Hydra's grammar wants."""
    start = "comparison.baseline="
    return [
        f"{start}'{argument.removeprefix(start)}'"
        if argument.startswith(start)
        and argument.removeprefix(start)[:1] not in ("'", '"', "")
        and argument != f"{start}null"
        else argument
        for argument in arguments
    ]


def open_dictionaries(arguments: Sequence[str]) -> list[str]:
    """The arguments with ++ in front of a dictionary for a setting that takes any keys: Hydra adds none without."""
    return [f"++{argument}" if argument.startswith(_OF_ANY_KEYS) else argument for argument in arguments]
