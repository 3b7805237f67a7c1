"""`cachelab.run`: one run from Python, with the overrides of the command line."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cachelab.errors import CachelabError, ConfigError

if TYPE_CHECKING:
    from cachelab.composition import Composition
    from cachelab.job_context import JobContext
    from cachelab.result import Result


def run(*overrides: str, tracking: str | None = None, config_dir: str | os.PathLike[str] | None = None) -> "Result":
    """Run one job and return its numbers, tables and figures.

    Args:
        overrides: As on the command line: "experiment=multi_turn", "engine.num_blocks=1024", "plugins=[my_package]".
        tracking: The tracking option: "mlflow" or "none". By default "none", unless an override sets it.
        config_dir: A folder with further options, as the command line's `--config-dir`.

    The run writes the same files as on the command line, to `hydra.run.dir`. By default that is a new folder
    `outputs/DATE/TIME_NAME`. Nothing is printed, and no log file is written: the messages go to Python's `logging`.

    Raises CachelabError: ConfigError for a wrong override, RequirementError if the run ended but does not meet a bound
    of `require`. Any other exception is a defect of cachelab.
    """
    from cachelab.job import run_job
    from cachelab.result import RequirementError, Result
    from cachelab.secret import passwords_kept
    from cachelab.trust import refuse_what_a_file_decides

    with passwords_kept(), _errors():
        given = _checked(overrides, tracking)
        composition = _composed(given, config_dir)
        refuse_what_a_file_decides(composition.unresolved, composition.hydra)
        if composition.config["sync"] is not None:
            raise ConfigError("sync: cachelab.run starts a run: log untracked jobs with python -m cachelab sync=FOLDER")
        context = _context(composition, given)
        try:
            with _quiet_vllm():
                job = run_job(composition.config, context)
        finally:
            if not any(context.output_dir.iterdir()):  # a wrong setting was found before anything was written
                context.output_dir.rmdir()
        assert job.result is not None  # only a job of a sweep may end without one
        result = Result.of(job.result, job.description, job.score.outcome, job.explanation)
        if job.unmet:
            raise RequirementError("; ".join(map(str, job.unmet)), result)
        return result


def _checked(overrides: Sequence[str], tracking: str | None) -> list[str]:
    """The overrides as Hydra gets them, with the tracking option. Raises ConfigError."""
    from cachelab.arguments import hydra_arguments

    for override in overrides:
        if override.startswith("-"):
            raise ConfigError(f"{override}: an option of the command line: cachelab.run takes overrides (key=value)")
    keys = [override.lstrip("+~").partition("=")[0] for override in overrides]
    for key in keys:
        if key.startswith("hydra") and key != "hydra.run.dir":
            raise ConfigError(f"{key}: a setting of the command line: cachelab.run takes hydra.run.dir=FOLDER only")
    if tracking is not None and "tracking" in keys:
        raise ConfigError("tracking: given twice, as an argument and as an override: leave one out")
    if tracking is None and not any(key == "tracking" or key.startswith("tracking.") for key in keys):
        tracking = "none"
    return hydra_arguments([*overrides, *([] if tracking is None else [f"tracking={tracking}"])])


def _composed(overrides: Sequence[str], config_dir: str | os.PathLike[str] | None) -> "Composition":
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from cachelab.composition import composed

    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: several values are a sweep: call cachelab.run once for each, "
                "or use python -m cachelab --multirun"
            )
    further = None if config_dir is None else Path(config_dir)
    if further is not None and not further.is_dir():
        raise ConfigError(f"config_dir: {further}: there is no such folder")
    return composed(overrides, further)


def _context(composition: "Composition", overrides: Sequence[str]) -> "JobContext":
    """The job's context, with a folder that no earlier run has written to unless hydra.run.dir names one."""
    from omegaconf import open_dict, read_write

    from cachelab.job_context import JobContext
    from cachelab.job_folder import named_folder

    name = JobContext.name_of(composition.hydra)
    folder = Path(named_folder(str(composition.hydra.run.dir), name, overrides)).resolve()
    if any(override.startswith("hydra.run.dir=") for override in overrides):
        folder.mkdir(parents=True, exist_ok=True)
    else:
        folder = _new_folder(folder)
    runtime = composition.hydra.runtime
    with read_write(runtime), open_dict(runtime):
        runtime.output_dir = str(folder)
    return JobContext.of(composition.hydra)


def _new_folder(folder: Path) -> Path:
    """Make the folder, with a number behind its name if it exists: two runs may start within one second."""
    number, chosen = 1, folder
    while True:
        try:
            chosen.mkdir(parents=True)
            return chosen
        except FileExistsError:
            number += 1
            chosen = folder.with_name(f"{folder.name}-{number}")


@contextmanager
def _errors() -> Iterator[None]:
    """Make a CachelabError of one line of what Hydra, OmegaConf and the disk raise."""
    from cachelab.disk import no_room
    from cachelab.error_format import WRONG_USAGE, exit_code, format_error
    from cachelab.errors import StorageError

    try:
        yield
    except CachelabError:
        raise
    except Exception as error:
        if exit_code(error) == WRONG_USAGE:
            raise ConfigError(format_error(error)) from None
        if no_room(error) is not None:
            raise StorageError(format_error(error)) from error
        raise


@contextmanager
def _quiet_vllm() -> Iterator[None]:
    """Keep vLLM's warnings off stderr in a program that does not configure logging."""
    vllm, nowhere = logging.getLogger("vllm"), logging.NullHandler()
    vllm.addHandler(nowhere)
    try:
        yield
    finally:
        vllm.removeHandler(nowhere)
