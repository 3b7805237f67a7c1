"""One job, from its composed config to its objective(s); what Hydra knows of a job is read here."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cachelab.config import Root
    from cachelab.objective import Score, Scores
    from cachelab.tracking.base import Tracking
    from cachelab.tracking.description import RunDescription
    from cachelab.tracking.offline import FallbackRun

log = logging.getLogger(__name__)


def leave_record(config: "DictConfig", error: Exception) -> None:
    """Leave a sweep's table the reason of a job that failed before it had a record of its own."""
    from omegaconf import OmegaConf

    from cachelab.tracking.job_record import FILE
    from cachelab.tracking.offline import failed_record

    plain: Any = OmegaConf.to_container(config)
    description = describe_job(plain)
    if not (description.output_dir / FILE).exists():
        failed_record(description, error).write(description.output_dir)


def run_job(config: "DictConfig") -> "Score | Scores":
    """One job, errors and all. Raises CachelabError."""
    from omegaconf import OmegaConf

    from cachelab import pipeline as experiment
    from cachelab.build import build_job, build_part, build_root
    from cachelab.errors import NothingKept
    from cachelab.job_digest import job_digest, versions
    from cachelab.objective import Outcome, bound_of, defined, known_objectives, score, violations
    from cachelab.report.absence import absence_line
    from cachelab.report.artifacts import write_artifacts
    from cachelab.report.console import print_job, print_notes, print_summary
    from cachelab.report.progress import doing, progress_bar
    from cachelab.tracking.offline import FallbackRun
    from cachelab.used_settings import used_settings

    logging.captureWarnings(True)  # into the log, with all else that libraries say
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    root = build_root(plain)
    for name, constraint in root.objective_constraints.items():
        bound_of(name, constraint)
    tracking: Tracking = build_part("tracking", root.tracking, root.plugins)
    description = describe_job(plain)
    # A wrong setting ends a run before a store hears of it. In a sweep it is a failed job, which the store holds too.
    built = build_job(root) if description.sweep is None else None
    if description.sweep is not None:
        description, reused = known_job(root, tracking, description)
        if reused is not None:
            return reused
    with FallbackRun(tracking, description) as tracked:
        parts, export = built or build_job(root)
        try:
            with doing("reading and tokenising the dataset"):
                workload = experiment.prepare(parts)
        except NothingKept as nothing:
            if not searching():
                raise
            tracked.log_dataset(parts.dataset.load())
            return nothing_kept(root, tracked, description, str(nothing), nothing.numbers)
        if description.sweep is None:
            print_notes(workload.dataset.notes)
        known_objectives([*root.objective, *root.objective_constraints], parts.metrics, workload.numbers)
        description = description.settled(used_settings(plain, list(workload.schedule)))
        tracked.log_parameters(description.parameters)
        tracked.log_dataset(workload.dataset)
        digest = job_digest(plain, workload.dataset.digest, versions(description.tags.get("cachelab.vllm_version")))
        tracked.log_tags({"cachelab.job_digest": digest})
        tracked.log_workload(workload.numbers)
        if export is not None:
            export.write(workload.schedule)
        with progress_bar(len(workload.schedule)) as progress:
            result = experiment.run(parts, workload, progress)
        folder = write_artifacts(result, description, parts.metrics, parts.tokenizer.name, root.artifacts)
        tracked.log_result(result.numbers, folder)
        values = result.numbers.values
        objectives, constraints = root.objective, root.objective_constraints
        if not searching():  # only a search reads the objective: without one, the run is as good
            absent = [name for name in dict.fromkeys([*objectives, *constraints]) if name not in values]
            for name in absent:
                log.warning("objective: %s", absence_line(name, result, parts.metrics))
            objectives = defined(objectives, values)
            constraints = {name: bound for name, bound in constraints.items() if name in values}
        beyond = violations(constraints, values)
        found = score(objectives, values, Outcome(tracked.run_id, beyond))
        tracked.log_tags({"cachelab.feasible": str(found.outcome.feasible).lower()} if beyond else {})
    found.outcome = Outcome(tracked.run_id, beyond, tracked.untracked)
    if description.sweep is not None:
        print_job(result, description)
    else:
        print_summary(result, description, tracked.where_to_look)
    return found


def nothing_kept(
    root: "Root", tracked: "FallbackRun", description: "RunDescription", why: str, numbers: Mapping[str, float]
) -> "Score | Scores":
    """What a search is told of a job whose filter keeps nothing: there is nothing to run, and that is its result."""
    from cachelab.objective import Outcome, score_of_nothing, violations
    from cachelab.report.console import print_infeasible
    from cachelab.tracking.job_record import INFEASIBLE

    tracked.log_workload(numbers)
    tracked.log_tags({"cachelab.feasible": "false", INFEASIBLE: why})
    print_infeasible(description, why)
    # Nothing ran: there are 0 requests, blocks and tokens.
    beyond = violations(
        root.objective_constraints, {name: numbers.get(name, 0.0) for name in root.objective_constraints}
    )
    return score_of_nothing(
        root.objective, numbers, Outcome(tracked.run_id, beyond, tracked.untracked, nothing_kept=why)
    )


def known_job(
    root: "Root", tracking: "Tracking", description: "RunDescription"
) -> "tuple[RunDescription, Score | Scores | None]":
    """A sweep's job with its digest and, if it need not be run again, the objectives of the run that finished it.

    A dataset that cannot be read leaves the job without a digest: it is run, and fails with the reason in its log.
    """
    from cachelab.build import build_part
    from cachelab.dataset.cached_dataset import CachedDataset
    from cachelab.errors import CachelabError, TrackingError
    from cachelab.job_digest import job_digest, versions
    from cachelab.objective import Outcome, defined, score, score_of_nothing, violations
    from cachelab.report.console import print_reused

    try:
        dataset = CachedDataset(build_part("dataset", root.dataset, root.plugins)).load()
    except CachelabError:
        return description, None
    vllm = versions(description.tags.get("cachelab.vllm_version"))
    description = replace(description, job_digest=job_digest(description.config, dataset.digest, vllm))
    if root.sweep.skip_finished is False:
        return description, None
    try:
        finished = tracking.finished(description, anywhere=root.sweep.skip_finished is True)
    except TrackingError:  # the store went away since the sweep began: FallbackRun will meet that, and say so
        return description, None
    if finished is None:
        return description, None
    values, constraints = finished.values, root.objective_constraints
    if values.get("filter/conversations_kept") == 0:
        if not searching():
            return description, None  # it is run, and fails with the reason
        beyond = violations(constraints, {name: values.get(name, 0.0) for name in constraints})
        outcome = Outcome(finished.run_id, beyond, reused=True, nothing_kept="filter: keeps no conversation")
        print_reused(description, finished.run_id)
        return description, score_of_nothing(root.objective, values, outcome)
    print_reused(description, finished.run_id)
    if not searching():
        constraints = {name: bound for name, bound in constraints.items() if name in values}
    beyond = violations(constraints, values)
    names = root.objective if searching() else defined(root.objective, values)
    return description, score(names, values, Outcome(finished.run_id, beyond, reused=True))


def searching() -> bool:
    """Whether a sweeper judges this job by its objective(s)."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    job = HydraConfig.get()
    return job.mode == RunMode.MULTIRUN and "n_trials" in job.sweeper


def sync(config: "DictConfig") -> None:
    """Log what the jobs of a folder could not log while they ran. Raises CachelabError."""
    from omegaconf import OmegaConf

    from cachelab.build import build_part, build_root
    from cachelab.errors import ConfigError
    from cachelab.tracking.mlflow.tracking import MlflowTracking

    plain: Any = OmegaConf.to_container(config, resolve=True)
    root = build_root(plain)
    tracking = build_part("tracking", root.tracking, root.plugins)
    if not isinstance(tracking, MlflowTracking):
        raise ConfigError("sync: tracking=none holds no runs: leave it out, or name a store with tracking.uri=...")
    from cachelab.sweep.sync import sync_folder

    for line in sync_folder(tracking, Path(str(root.sync))):
        print(line)


def describe_job(plain: dict[str, Any]) -> "RunDescription":
    """What is known of the job before it runs, from its config and from Hydra's."""
    import yaml
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from cachelab.engine.vllm.core import installed_vllm
    from cachelab.sweep.callback import PARENT_VARIABLE, SWEPT_VARIABLE
    from cachelab.tracking.description import SweepMember, describe
    from cachelab.used_settings import runs_vllm

    job = HydraConfig.get()
    overrides: Any = OmegaConf.to_container(job.overrides.task)
    passed = job.job.env_set
    swept = tuple(passed.get(SWEPT_VARIABLE, "").split(","))
    member = None if job.mode == RunMode.RUN else SweepMember(passed.get(PARENT_VARIABLE), job.job.num, swept)
    return describe(
        run_name=run_name(overrides, job.runtime.choices, swept if any(swept) else None),
        config=plain,
        config_yaml=yaml.safe_dump(plain, sort_keys=False, allow_unicode=True),
        overrides=overrides,
        command=shlex.join(["python", "-m", "cachelab", *overrides]),
        engine=job.runtime.choices["engine"],
        engine_version=installed_vllm() if runs_vllm(plain["engine"]) else None,
        output_dir=Path(job.runtime.output_dir),
        sweep=member,
        choices=dict(job.runtime.choices),
    )


def run_name(overrides: Sequence[str], choices: Mapping[str, str | None], swept: Sequence[str] | None = None) -> str:
    """What makes this run different: its experiment (else its trace), then what was overridden (in a sweep: swept)."""
    left_out = ("experiment=", "tracking.", "hydra.", "sweep.", "comparison.", "cache_dir=")
    differs = [override for override in overrides if not override.startswith(left_out)]
    if swept is not None:
        differs = [override for override in differs if override.lstrip("+").partition("=")[0] in swept]
    return " ".join([choices.get("experiment") or f"trace={choices['trace']}", *differs])
