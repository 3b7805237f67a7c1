"""The command line: composes the config, hands it to a job, says in one line what went wrong."""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from cachelab.error_format import RUN_FAILED, exit_code, format_error, leave
from cachelab.errors import ConfigError
from cachelab.interrupt import check, default_signals, hold_signals, raise_on_signals, received
from cachelab.output import Output
from cachelab.secret import hide, without_secrets

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
    """Entry point of `cachelab` and `python -m cachelab`.

    Any error is one line on stderr. Exit codes: 0 done, 1 the run failed, 2 wrong usage or config, 128 + N signal N.
    """
    raise_on_signals()
    output = Output.install()
    full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"
    sys.excepthook = _show_error
    try:
        start()
        hold_signals()
    except KeyboardInterrupt:
        end(output, 130)
    except SystemExit as exit_:
        if full_error and exit_.__cause__ is not None and received() is None:
            raise exit_.__cause__ from None
        end(output, exit_.code)
    except Exception as error:
        if received() is None:
            if full_error:
                raise
            print(f"cachelab: {format_error(error)}", file=sys.stderr)
        end(output, exit_code(error))
    end(output, None)


def start() -> None:
    """What the command line asks for."""
    if len(sys.argv) == 1:
        from cachelab.overview import show

        show(config_dir())
        return
    import hydra
    from hydra.core.plugins import Plugins

    from cachelab.sweep.optuna_sweeper import OptunaSweeper
    from cachelab.trust import NAMED_BY_HYDRA

    Plugins.instance().register(OptunaSweeper)
    # Hydra then raises instead of printing its own account of an error, which takes many lines.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    logging.raiseExceptions = False  # a log file on a full disk: the error that ends the run says it in one line
    sys.argv[1:] = hide(open_dictionaries(quoted_baseline(sys.argv[1:])))
    _refuse_arguments(sys.argv[1:])
    run = hydra.main(config_path=str(config_dir()), config_name="config", execution_whitelist=list(NAMED_BY_HYDRA))
    run(task)()


def end(output: Output, code: str | int | None) -> NoReturn:
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


def _refuse_arguments(arguments: Sequence[str]) -> None:
    """Refuse what Hydra would take, or explain badly. Raises ConfigError.

    A primary config that somebody else wrote may add packages to Hydra's search path, which imports them.
    """
    from hydra._internal.utils import get_args_parser

    given, _ = get_args_parser().parse_known_args(arguments)
    for name, value in (("--config-path", given.config_path), ("--config-name", given.config_name)):
        if value is not None:
            raise ConfigError(f"{name}: cachelab always starts from its own config: add a folder with --config-dir")
    for argument in arguments:
        group, _, option = argument.partition("=")
        if option == "null" and (config_dir() / group).is_dir() and "." not in group:
            raise ConfigError(f"{argument}: this names no option: choose one ({group}=OPTION), or leave it out")


def _show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The whole trace, which HYDRA_FULL_ERROR=1 asks for, without passwords."""
    sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))


def task(config: "DictConfig") -> "Score | Scores | None":
    """One job: run it, track it, report it. Returns the objective(s).

    A job on its own ends the process with one line; in a sweep the error goes to Hydra, which runs the other jobs.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from cachelab.job import leave_record, run_job, sync
    from cachelab.trust import refuse_what_a_file_decides

    check()  # a signal that got lost in one job must not let the next one run
    alone = HydraConfig.get().mode == RunMode.RUN
    plain: Any = OmegaConf.to_container(config)
    hydra_node: Any = HydraConfig.get()
    try:
        refuse_what_a_file_decides(plain, hydra_node)
    except ConfigError as error:
        if alone:
            leave(error)
        raise  # without a record: what is set now is not trusted, and making one runs git
    try:
        if config.sync is not None:
            sync(config)
            return None
        value = run_job(config)
    except Exception as error:
        if alone:
            leave(error)
        leave_record(config, error)
        raise
    if alone and value.outcome.untracked is not None:
        from cachelab.tracking.offline import sync_command

        job = HydraConfig.get()
        command = sync_command(Path(job.runtime.output_dir), job.overrides.task)
        print(f"cachelab: the run could not be tracked; nothing is lost: {command}", file=sys.stderr)
        raise SystemExit(RUN_FAILED)
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
