"""The Hydra callback of a sweep: opens a parent run, and logs the comparison of the jobs to it at the end."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from cachelab.disk import no_room, writing
from cachelab.error_format import REQUIREMENT_UNMET, format_error, leave
from cachelab.errors import TrackingError
from cachelab.override import quoted
from cachelab.sweep.description import describe_sweep, sweep_command, sweep_name, swept_keys
from cachelab.sweep.ending import ending_of, report_of
from cachelab.sweep.job_error import hide_hydras_line
from cachelab.sweep.sweep_run import SweepRun

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cachelab.config import SweepConfig
    from cachelab.sweep.sweep_job import SweepJob
    from cachelab.tracking.mlflow.tracking import MlflowTracking

PARENT_VARIABLE = "CACHELAB_SWEEP_RUN_ID"
SWEPT_VARIABLE = "CACHELAB_SWEPT"
"""Entries of a job's `hydra.job.env_set`: the id of the sweep's run, and the keys that the sweep varies."""

OF_CALLBACKS = ("capacity_overlay.png", "capacity_overlay.svg")
"""Files of other callbacks, which belong to the sweep's report."""


class SweepCallback(Callback):
    """Opens the sweep's run before any job starts, and ends it with tables, comparison and figures.

    Hydra turns the errors of a callback into warnings. An error that must stop the sweep is raised as SystemExit.
    """

    def __init__(self) -> None:
        self._run = SweepRun()
        self._command = ""
        self._started_ms = int(1000 * time.time())

    def on_multirun_start(self, config: "DictConfig", **kwargs: Any) -> None:
        """Check the config and open the sweep's run in the store. Raises SystemExit with one line if that fails."""
        hide_hydras_line()
        _or_exit(lambda: self._begin(config))

    def on_multirun_end(self, config: "DictConfig", **kwargs: Any) -> None:
        """Compare the jobs and end the sweep's run.

        Raises SystemExit: with one line if a step failed, with REQUIREMENT_UNMET if a job does not meet `require`.
        """
        error = sys.exception()  # the error that ends the sweep, if any
        unmet: Sequence[str] = ()
        try:
            unmet = self._end(config, error)
        except BaseException as further:
            if not isinstance(further, TrackingError):  # another request would wait for that store again
                self._run.give_up(error or further)
            if not isinstance(further, Exception):
                raise
            if error is None:
                raise SystemExit(f"cachelab: {format_error(further)}") from further
            print(f"cachelab: {format_error(further)}", file=sys.stderr)  # Hydra raises the error that ended the sweep
        if isinstance(error, KeyboardInterrupt):
            again = ": run the same command again to resume it" if self._run.is_tracked else ""
            print(f"cachelab: interrupted: the sweep starts no further job{again}", file=sys.stderr)
        if unmet and error is None:
            raise SystemExit(REQUIREMENT_UNMET)

    def on_run_end(self, config: "DictConfig", **kwargs: Any) -> None:
        """Remove the folder of a job that Hydra could not start on a full disk: no file in it is complete."""
        value = kwargs["job_return"]._return_value
        if isinstance(value, OSError) and no_room(value) is not None:
            shutil.rmtree(str(config.hydra.runtime.output_dir), ignore_errors=True)

    def _begin(self, config: "DictConfig") -> None:
        from omegaconf import OmegaConf, read_write

        from cachelab.build import EXPLAINED, build_metrics, build_part, build_settings
        from cachelab.metrics.names import check_names
        from cachelab.sweep.search_settings import AUTO, next_to
        from cachelab.sweep.shared_data import refuse_untimed_jobs
        from cachelab.tracking.mlflow.tracking import MlflowTracking
        from cachelab.trust import refuse_what_a_file_decides

        of_jobs = [str(key) for key in config if key != "hydra"]
        plain: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, of_jobs))
        refuse_what_a_file_decides(plain, config.hydra)
        settings = build_settings(plain)
        unknown = ("experiment", "metrics", "require", "plugins")  # each job checks what these decide
        if settings.require and not any(key.startswith(unknown) for key in swept_keys(config)):
            names = [name for name in settings.require if name not in EXPLAINED]
            check_names("require", names, build_metrics(plain["metrics"], settings.plugins))
        group: Any = OmegaConf.to_container(config.tracking, resolve=True)
        tracking = build_part("tracking", group, list(config.plugins))
        refuse_untimed_jobs(config, swept_keys(config))
        if (sweeper := config.hydra.sweeper).get("storage") == AUTO:
            storage = next_to(tracking.absolute_uri() if isinstance(tracking, MlflowTracking) else None)
            with read_write(config.hydra):
                sweeper.storage = storage
                config.hydra.overrides.hydra.append(f"hydra.sweeper.storage={quoted(storage)}")
        self._command = sweep_command(config)  # as it was typed: without the variables below
        passed = {SWEPT_VARIABLE: ",".join(swept_keys(config))}
        if isinstance(tracking, MlflowTracking):
            self._run = SweepRun(tracking)
            passed |= {PARENT_VARIABLE: self._begin_run(config, settings.sweep), **_address_passed(tracking)}
        with read_write(config.hydra):
            # Each job is composed again with these overrides, in whatever process and on whatever machine it runs.
            config.hydra.overrides.hydra.extend(
                [f"+hydra.job.env_set.{key}={quoted(value)}" for key, value in passed.items()]
            )

    def _begin_run(self, config: "DictConfig", settings: "SweepConfig") -> str:
        sweeper = config.hydra.sweeper
        return self._run.begin(
            describe_sweep(config), settings, storage=sweeper.get("storage"), study=sweeper.get("study_name")
        )

    def _end(self, config: "DictConfig", error: BaseException | None) -> Sequence[str]:
        """Report the sweep; one line per bound of `require` that a job does not meet."""
        from cachelab.report.console import print_unmet
        from cachelab.sweep.console import print_sweep
        from cachelab.sweep.local_jobs import local_jobs
        from cachelab.sweep.study import read_study
        from cachelab.sweep.sweep_report import write_sweep

        sweep_dir = Path(str(config.hydra.sweep.dir))
        if not sweep_dir.is_dir():
            return self._end_without_jobs(error)
        with tempfile.TemporaryDirectory() as scratch:
            lost: TrackingError | None = None
            stored: Sequence[SweepJob] = ()
            try:
                stored = self._run.jobs()
            except TrackingError as away:
                lost = away
            local = local_jobs(sweep_dir, self._started_ms, self._run.id)
            if error is not None and lost is None and not stored and not local:
                return self._end_without_jobs(error)
            sweeper = config.hydra.sweeper
            report, tables = report_of(
                sweep_name(config),
                stored,
                local,
                self._run.fetch_to(Path(scratch)),
                baseline=config.comparison.baseline,
                objectives=list(config.objective),
                require=config.require,
                study=read_study(sweeper.get("storage"), sweeper.get("study_name")),
                searching="n_trials" in sweeper,
            )
            folder = write_sweep(report, sweep_dir / "sweep", tables, self._command)
            ending = ending_of(self._run.id, report, error)
            with writing(folder, "write elsewhere with hydra.sweep.dir=FOLDER"):
                for name in ("multirun.yaml", "optimization_results.yaml", *OF_CALLBACKS):
                    if (sweep_dir / name).is_file():
                        (folder / name).write_bytes((sweep_dir / name).read_bytes())
                (folder / "end.json").write_text(json.dumps(ending, indent=2) + "\n", encoding="utf-8")
            try:
                where = self._run.end(ending, folder) if lost is None else {}
            except TrackingError as away:
                where, lost = {}, away
        print_sweep(report, {**where, "files": str(folder)})
        print_unmet(report.unmet)
        untracked = sum(job.untracked is not None for job in report.jobs)
        if error is None and self._run.is_tracked and (untracked or lost):
            from cachelab.tracking.offline import sync_command

            what = f"{untracked} of {len(report.jobs)} jobs" if untracked else "the comparison"
            command = sync_command(sweep_dir, list(config.hydra.overrides.task))
            why = f" ({format_error(lost)})" if lost else ""
            raise TrackingError(f"{what} could not be tracked{why}; nothing is lost: {command}")
        return report.unmet

    def _end_without_jobs(self, error: BaseException | None) -> Sequence[str]:
        """End a sweep of which no job started: there is nothing to report."""
        if self._run.id is not None and error is not None:
            self._run.end(ending_of(self._run.id, None, error), None)
        return ()


def _address_passed(tracking: "MlflowTracking") -> dict[str, str]:
    """The variable by which jobs find a store that is not in the config; {} if its address has a password."""
    from cachelab.secret import masked

    uri = tracking.absolute_uri()
    # What is passed is written to the folder of each job.
    return {"MLFLOW_TRACKING_URI": uri} if not tracking.uri and masked(uri, is_address=True) == uri else {}


def _or_exit(what: Callable[[], None]) -> None:
    try:
        what()
    except Exception as error:
        leave(error)
