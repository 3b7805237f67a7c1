"""The command line: hands the composed config to a job, prints what came of it, reports an error in one line."""

import gc
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from cachelab.composition import config_dir
from cachelab.error_format import REQUIREMENT_UNMET, RUN_FAILED, WRONG_USAGE, exit_code, format_error, leave
from cachelab.errors import ConfigError
from cachelab.interrupt import check, default_signals, hold_signals, raise_on_signals, received
from cachelab.output import Output
from cachelab.secret import without_secrets

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cachelab.job import EndedJob
    from cachelab.objective import Score, Scores


_RARE_COLLECTIONS = (200_000, 20, 20)
"""Python's default of 700 objects per collection costs a fifth of a start: libraries create a million that stay."""


def main() -> None:
    """Run `cachelab` or `python -m cachelab`.

    Any error is one line on stderr. Exit codes: 0 done, 1 the run failed, 2 wrong usage or config, 3 the run does not
    meet a bound of `require`, 128 + N signal N.
    """
    raise_on_signals()
    gc.set_threshold(*_RARE_COLLECTIONS)
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
    """Do what the command line asks for."""
    arguments = sys.argv[1:]
    if not arguments:
        from cachelab.overview import show

        return show(config_dir())
    if arguments[0] == "compare":
        from cachelab.compare_command import compare_command

        return compare_command(arguments[1:])
    if arguments[0] == "report":
        from cachelab.report_command import report_command

        return report_command(arguments[1:])
    if arguments[0] == "doctor":
        from cachelab.doctor_command import doctor_command

        raise SystemExit(doctor_command(arguments[1:]))
    if arguments[0] == "--shell-completion" and completes(arguments[1:]):
        return None
    if sys.stderr.isatty() and not any(argument.startswith(_SHOWS) for argument in arguments):
        print(loading_line(arguments), file=sys.stderr)
    import hydra
    from hydra.core.plugins import Plugins

    from cachelab.arguments import asks_for_version, hydra_arguments
    from cachelab.sweep.optuna_sweeper import OptunaSweeper
    from cachelab.trust import NAMED_BY_HYDRA

    if asks_for_version(arguments):
        return print(versions_line())
    Plugins.instance().register(OptunaSweeper)
    # With this Hydra raises its errors. Otherwise it prints them, in many lines.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    logging.raiseExceptions = False  # a log file on a full disk: the error that ends the run reports it in one line
    sys.argv[1:] = hydra_arguments(arguments)
    run = hydra.main(config_path=str(config_dir()), config_name="config", execution_whitelist=list(NAMED_BY_HYDRA))
    run(task)()


_SHOWS = ("-c", "-h", "-i", "--cfg", "--help", "--hydra-help", "--info", "--shell-completion", "--v")
"""Beginnings of the arguments that show something and run nothing."""


def completes(arguments: Sequence[str]) -> bool:
    """Answer the part of the shells' completion that Hydra lacks; False if Hydra answers."""
    from cachelab.completion import SCRIPTS, completed_flags, typed_line

    if len(arguments) == 1 and arguments[0] in SCRIPTS:
        print(SCRIPTS[arguments[0]], end="")
        return True
    if list(arguments) != ["query=bash"]:
        return False
    os.environ.update(typed_line(os.environ))
    flags = completed_flags(os.environ.get("COMP_LINE", ""))
    print(" ".join(flags), end="\n" if flags else "")
    return bool(flags)


def loading_line(arguments: Sequence[str]) -> str:
    """The first line on a terminal: the libraries that the run loads."""
    engine = next((word.partition("=")[2] for word in arguments if word.startswith("engine=")), "sim")
    libraries = [*([] if engine == "replay" else ["vLLM"]), *([] if "tracking=none" in arguments else ["MLflow"])]
    return f"cachelab: loading {' and '.join(['Hydra', *libraries][-2:])} ..."


def end(output: Output, code: str | int | None) -> NoReturn:
    """End the process: by the signal that came, else with the code (a text goes to stderr), else 1 if stdout failed."""
    output.flush()
    if "triton" not in sys.modules:  # its nanobind prints what the last collection did not free
        gc.freeze()  # else Python's last collections walk all objects of the imported libraries, for seconds
    default_signals()
    if (signal := received()) is not None:
        code = signal.exit_code
    if output.error is not None and not code:
        code = (
            f"cachelab: standard output could not be written ({output.error.strerror}): the run is not affected, "
            "its files and its tracked run are complete"
        )
    sys.exit(code)


def versions_line() -> str:
    """The versions that decide a run's numbers: cachelab's own and vLLM's."""
    import cachelab
    from cachelab.engine.vllm.core import installed_vllm

    vllm = installed_vllm()
    return f"cachelab {cachelab.__version__} ({f'vLLM {vllm}' if vllm else 'vLLM is not installed'})"


def task(config: "DictConfig") -> "Score | Scores | None":
    """Run, track and report one job. Returns its objectives.

    A job on its own ends the process with one line. In a sweep the error goes to Hydra, which runs the other jobs.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from cachelab.job import run_job
    from cachelab.job_context import JobContext
    from cachelab.job_description import leave_record
    from cachelab.job_folder import kept_files, left_by_refused, remove_if_unused
    from cachelab.report.console import print_failed, print_notes, print_unmet
    from cachelab.trust import refuse_what_a_file_decides

    logging.captureWarnings(True)  # warnings of libraries go to the log
    check()  # a signal that one job lost must not let the next one run
    hydra_node: Any = HydraConfig.get()
    context = JobContext.of(hydra_node)
    alone = context.sweep is None
    unresolved: Any = OmegaConf.to_container(config)
    try:
        refuse_what_a_file_decides(unresolved, hydra_node)
    except ConfigError as error:
        if alone:
            remove_if_unused(context.output_dir)
            leave(error)
        raise  # without a record: the config is not trusted, and making a record runs git
    try:
        if config.sync is not None:
            from cachelab.sweep.sync import sync

            plain: Any = OmegaConf.to_container(config, resolve=True)
            sync(plain)
            return None
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        job = run_job(plain, context, print_notes)
        print_job_end(job)
    except Exception as error:
        if alone:
            if exit_code(error) == WRONG_USAGE:
                remove_if_unused(context.output_dir)
                leave(error, left_by_refused(context.output_dir))
            leave(error)
        leave_record(unresolved, context, error)
        print_failed(None if context.sweep is None else context.sweep.number, context.run_name, format_error(error))
        raise
    except KeyboardInterrupt:
        if alone:
            print(f"cachelab: interrupted: {kept_files(context.output_dir)}", file=sys.stderr)
        raise
    if alone:
        print_unmet(job.unmet)
    if alone and job.score.outcome.untracked is not None:
        from cachelab.tracking.offline import sync_command

        command = sync_command(context.output_dir, context.overrides)
        print(f"cachelab: the run could not be tracked; nothing is lost: {command}", file=sys.stderr)
        raise SystemExit(RUN_FAILED)
    if alone and job.unmet:
        raise SystemExit(REQUIREMENT_UNMET)
    return job.score


def print_job_end(job: "EndedJob") -> None:
    """Print the summary of a job on its own, or one line for a job of a sweep."""
    from cachelab.report.console import print_infeasible, print_job, print_reused, print_summary
    from cachelab.report.explanation import print_explained_run

    outcome, description = job.score.outcome, job.description
    if outcome.reused:
        print_reused(description, str(outcome.run_id))
    elif outcome.nothing_kept is not None:
        print_infeasible(description, outcome.nothing_kept)
    elif job.result is not None and description.sweep is not None:
        print_job(job.result, description)
    elif job.result is not None and job.explanation is not None:
        print_explained_run(job.result, job.explanation, description, job.where_to_look)
    elif job.result is not None:
        verbose = bool((description.config.get("report") or {}).get("verbose"))
        print_summary(job.result, description, job.where_to_look, verbose=verbose)


def _show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the whole trace, which HYDRA_FULL_ERROR=1 asks for, with passwords masked."""
    sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))
