"""The Hydra callback of a sweep: one run stands for all of it, and at the end holds the comparison of its jobs."""

import json
import logging
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from cachelab.complaint import complaint
from cachelab.errors import CachelabError, TrackingError
from cachelab.override import quoted
from cachelab.tracking.sweep_description import describe_sweep, sweep_name, swept_keys

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cachelab.report.sweep_report import SweepReport
    from cachelab.tracking.mlflow import MlflowTracking
    from cachelab.tracking.sweep_job import SweepJob

log = logging.getLogger(__name__)

PARENT_VARIABLE = "CACHELAB_SWEEP_RUN_ID"
SWEPT_VARIABLE = "CACHELAB_SWEPT"
"""By these a job's `hydra.job.env_set` knows its sweep's run and what the sweep varies, whatever machine it runs on."""


class SweepCallback(Callback):
    """Opens the sweep's run before any job starts, and closes it with tables, comparison and figures.

    Hydra turns a callback's errors into warnings: one that must stop the sweep leaves as SystemExit.
    """

    def __init__(self) -> None:
        self._tracking: MlflowTracking | None = None
        self._parent: str | None = None

    def on_multirun_start(self, config: "DictConfig", **kwargs: Any) -> None:
        """Find the store and open the sweep's run there; exits with one line if that cannot be done."""
        _or_exit(lambda: self._begin(config))

    def on_multirun_end(self, config: "DictConfig", **kwargs: Any) -> None:
        """Compare the jobs; exits with one line if that, or a job's tracking, failed."""
        error = sys.exception()  # what ends the sweep, if something does
        if error is None:
            _or_exit(lambda: self._end(config, None))
            return
        try:
            self._end(config, error)
        except Exception as further:  # the error that ended the sweep is the one to show
            print(f"cachelab: {complaint(further)}", file=sys.stderr)

    def _begin(self, config: "DictConfig") -> None:
        from omegaconf import OmegaConf, read_write

        from cachelab.build import build_part
        from cachelab.tracking.mlflow import MlflowTracking

        group: Any = OmegaConf.to_container(config.tracking, resolve=True)
        tracking = build_part("tracking", group, list(config.plugins))
        passed = {SWEPT_VARIABLE: ",".join(swept_keys(config))}
        if isinstance(tracking, MlflowTracking):
            passed |= self._open(tracking, config)
        with read_write(config.hydra):
            # These overrides are what each job is composed of again, in whatever process or machine it runs.
            config.hydra.overrides.hydra.extend(
                [f"+hydra.job.env_set.{key}={quoted(value)}" for key, value in passed.items()]
            )

    def _open(self, tracking: "MlflowTracking", config: "DictConfig") -> dict[str, str]:
        """Open the sweep's run; what its jobs must know to find it."""
        from cachelab.secret import masked
        from cachelab.study import holds_trials

        self._tracking = tracking
        description = describe_sweep(config)
        sweeper = config.hydra.sweeper
        with tracking.open() as store:
            from cachelab.tracking.sweep_run import begin

            self._parent, said = begin(
                store,
                description,
                again=config.sweep.skip_finished is not False,
                also_finished=holds_trials(sweeper.get("storage"), sweeper.get("study_name"), description.digest),
                take_over=config.sweep.take_over,
            )
        if said:
            print(f"cachelab: {said}", file=sys.stderr)
        passed = {PARENT_VARIABLE: self._parent}
        uri = tracking.absolute_uri()
        if not tracking.uri and masked(uri, is_address=True) == uri:  # each job's folder holds what is passed
            passed["MLFLOW_TRACKING_URI"] = uri
        return passed

    def _end(self, config: "DictConfig", error: BaseException | None) -> None:
        from cachelab.report.console import print_sweep
        from cachelab.report.sweep_report import write_sweep

        sweep_dir = Path(str(config.hydra.sweep.dir))
        if not sweep_dir.is_dir():  # nothing began
            if self._tracking is not None and self._parent is not None and error is not None:
                self._store(_ending(self._parent, None, error), None)
            return
        with tempfile.TemporaryDirectory() as scratch:
            lost: TrackingError | None = None
            stored: Sequence[SweepJob] = ()
            try:
                stored = self._stored()
            except TrackingError as away:
                lost = away
            report, tables = _report(config, stored, self._fetch(Path(scratch)), sweep_dir)
            folder = write_sweep(report, sweep_dir / "sweep", tables)
            for name in ("multirun.yaml", "optimization_results.yaml", "capacity_overlay.png"):
                if (sweep_dir / name).is_file():
                    (folder / name).write_bytes((sweep_dir / name).read_bytes())
            ending = _ending(self._parent, report, error)
            (folder / "end.json").write_text(json.dumps(ending, indent=2) + "\n", encoding="utf-8")
            try:
                where = self._store(ending, folder) if lost is None else {}
            except TrackingError as away:
                where, lost = {}, away
        print_sweep(report, {**where, "files": str(folder)})
        untracked = sum(job.untracked is not None for job in report.jobs)
        if error is None and self._tracking is not None and (untracked or lost):
            from cachelab.tracking.kept import sync_command

            what = f"{untracked} of {len(report.jobs)} jobs" if untracked else "the comparison"
            command = sync_command(sweep_dir, list(config.hydra.overrides.task))
            why = f" ({complaint(lost)})" if lost else ""
            raise TrackingError(f"{what} could not be tracked{why}; nothing is lost: {command}")

    def _stored(self) -> "Sequence[SweepJob]":
        if self._tracking is None or self._parent is None:
            return ()
        with self._tracking.open() as store:
            from cachelab.tracking.sweep_run import close_stale, jobs_of

            close_stale(store, self._parent)
            return jobs_of(store, self._parent)

    def _fetch(self, scratch: Path) -> "Callable[[SweepJob], Path | None]":
        def fetch(job: "SweepJob") -> Path | None:
            local = None if job.folder is None else job.folder / "requests.parquet"
            if local is not None and local.is_file():
                return local
            if self._tracking is None or job.run_id is None:
                return None
            try:
                with self._tracking.open() as store:
                    from cachelab.tracking.sweep_run import fetch

                    return fetch(store, job, scratch)
            except TrackingError as absent:  # a job that kept none, or a store that went away: the others are reported
                log.warning("job %d is not compared: %s", job.number, absent)
                return None

        return fetch

    def _store(self, ending: dict[str, Any], folder: Path | None) -> Mapping[str, str]:
        """End the sweep's run; where to look at it."""
        if self._tracking is None or self._parent is None:
            return {}
        with self._tracking.open() as store:
            from cachelab.tracking.mlflow_run import where_to_look
            from cachelab.tracking.sweep_run import end

            end(store, folder=folder, **ending)
            return where_to_look(store.uri, store.experiment_id, self._parent)


def _ending(parent: str | None, report: "SweepReport | None", error: BaseException | None) -> dict[str, Any]:
    """What the sweep's run is to be told at its end, plain enough to wait in a file."""
    from cachelab.report.sweep_report import note_text

    return {
        "parent_run_id": parent,
        "status": _status(report, error),
        "note": "" if report is None else note_text(report),
        "numbers": {} if report is None else report.numbers,
        "tags": {} if error is None else {"cachelab.error": complaint(error)},
    }


def _report(
    config: "DictConfig", stored: "Sequence[SweepJob]", fetch: "Callable[[SweepJob], Path | None]", sweep_dir: Path
) -> "tuple[SweepReport, Mapping[str, Mapping[str, Sequence[Any]]]]":
    from cachelab.report.sweep_report import compared, report_sweep
    from cachelab.study import read_study
    from cachelab.tracking.local_jobs import local_jobs, read_requests
    from cachelab.tracking.sweep_job import labels, merged

    jobs = merged(stored, local_jobs(sweep_dir))
    study = read_study(config.hydra.sweeper.get("storage"), config.hydra.sweeper.get("study_name"))
    notes: list[str] = []
    arms: list[SweepJob] = []
    baseline = None
    try:
        arms, baseline = compared(jobs, config.comparison.baseline, searching="n_trials" in config.hydra.sweeper)
    except CachelabError as error:  # the jobs are done: their table is worth more than the comparison
        notes.append(complaint(error))
    label_of = dict(zip((job.number for job in jobs), labels(jobs), strict=True))
    paths = {label_of[job.number]: fetch(job) for job in arms}
    tables = {label: read_requests(path) for label, path in paths.items() if path is not None}
    missing = [label for label, path in paths.items() if path is None]
    if missing:
        notes.append(f"not compared: {', '.join(missing)} left no requests.parquet (artifacts=[...,requests])")
    name = sweep_name(config)
    return report_sweep(name, jobs, arms, baseline, tables, list(config.objective), study, notes), tables


def _status(report: "SweepReport | None", error: BaseException | None) -> str:
    """A search goes on past failed trials; a grid with a failed job did not finish, so that it is taken up again."""
    if isinstance(error, KeyboardInterrupt):
        return "KILLED"
    if error is not None or report is None or (report.study is None and not all(job.finished for job in report.jobs)):
        return "FAILED"
    return "FINISHED"


def _or_exit(what: Callable[[], None]) -> None:
    try:
        what()
    except Exception as error:
        raise SystemExit(f"cachelab: {complaint(error)}") from error
