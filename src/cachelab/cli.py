"""The command line: composes the config, hands it to a job, says in one line what went wrong."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cachelab.complaint import complaint
from cachelab.interrupt import check, default_signals, hold_signals, raise_on_signals, received
from cachelab.output import Output

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cachelab.objective import Score, Scores


def config_dir() -> Path:
    """The config folder: beside the package in a wheel, at the top of the repository in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def main() -> None:
    """Entry point of `cachelab` and `python -m cachelab`. Exits with 1, and one line, on any error."""
    raise_on_signals()
    output = Output.install()
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        start()
        hold_signals()
    except KeyboardInterrupt:
        leave(output, 130)
    except SystemExit as exit_:
        if full_error and exit_.__cause__ is not None and received() is None:
            raise exit_.__cause__ from None
        leave(output, exit_.code)
    except Exception as error:
        if full_error and received() is None:
            raise
        leave(output, f"cachelab: {complaint(error)}")
    leave(output, None)


def start() -> None:
    """What the command line asks for."""
    if len(sys.argv) == 1:
        from cachelab.overview import show

        show(config_dir())
        return
    import hydra
    from hydra.core.plugins import Plugins

    from cachelab.optuna_sweeper import OptunaSweeper

    Plugins.instance().register(OptunaSweeper)
    sys.argv[1:] = quoted_baseline(sys.argv[1:])
    # Hydra then raises instead of printing its own account of an error, which takes many lines.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    logging.raiseExceptions = False  # a log file on a full disk: the error that ends the run says it in one line
    run = hydra.main(config_path=str(config_dir()), config_name="config", execution_whitelist=["cachelab.*"])
    run(task)()


def leave(output: Output, code: str | int | None) -> NoReturn:
    """End the process: by the signal that came, else with the code (a text goes to stderr), else 1 if stdout failed."""
    output.flush()
    default_signals()
    if (signal := received()) is not None:
        code = signal.exit_code
    if output.error is not None and not code:
        code = (
            f"cachelab: standard output could not be written ({output.error.strerror}): what was run is not affected, "
            "its files and its tracked run hold everything"
        )
    sys.exit(code)


def task(config: "DictConfig") -> "Score | Scores | None":
    """One job: run it, track it, report it. Returns the objective(s).

    A job on its own ends the process with one line; in a sweep the error goes to Hydra, which runs the other jobs.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from cachelab.job import leave_record, run_job, sync

    check()  # a signal that got lost in one job must not let the next one run
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
