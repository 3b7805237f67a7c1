"""One job, from its composed config to its objectives."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.job_context import JobContext

if TYPE_CHECKING:
    from cachelab.config import Root
    from cachelab.engine.base import EngineRun
    from cachelab.explanation.result import Explanation
    from cachelab.objective import Score, Scores
    from cachelab.pipeline import Parts, Result, Workload
    from cachelab.requirement import Unmet
    from cachelab.tracking.base import Tracking
    from cachelab.tracking.description import RunDescription
    from cachelab.tracking.offline import FallbackRun

log = logging.getLogger(__name__)

Config = dict[str, Any]
"""A composed config as plain data, interpolations resolved."""


@dataclass(frozen=True)
class EndedJob:
    """A job that ended without an error.

    `score` holds the objectives and the outcome. `result` is None if nothing ran: the job finished in an earlier sweep,
    or its filter keeps no conversation. `where_to_look` leads a person to the run: label -> command or address.
    `unmet` are the bounds of `require` that the run does not meet.
    `explanation` is None if the config asks for none.
    """

    score: "Score | Scores"
    description: "RunDescription"
    result: "Result | None" = None
    where_to_look: Mapping[str, str] = field(default_factory=dict)
    unmet: "tuple[Unmet, ...]" = ()
    explanation: "Explanation | None" = None


def leave_record(config: Config, context: JobContext, error: Exception) -> None:
    """Write the record of a job that failed before it had one, so that the sweep's table shows the reason."""
    from cachelab.tracking.job_record import FILE
    from cachelab.tracking.offline import failed_record

    if not (context.output_dir / FILE).exists():
        failed_record(describe_job(config, context), error).write(context.output_dir)


def run_job(
    config: Config, context: JobContext, on_notes: Callable[[Sequence[str]], None] = lambda notes: None
) -> EndedJob:
    """Run, measure and track one job; `on_notes` gets the notes of the dataset before the engine runs.

    Raises CachelabError.
    """
    from cachelab import pipeline
    from cachelab.build import build_job, build_part, build_root, check_metric_names
    from cachelab.engine.base import RunInterrupted
    from cachelab.errors import EngineError, NothingKept
    from cachelab.explanation.numbers import NUMBERS, with_explanation
    from cachelab.job_digest import data_digest, job_digest, versions
    from cachelab.objective import Outcome, defined, score, violations
    from cachelab.report.absence import absence_line, absence_reason
    from cachelab.report.artifacts import write_artifacts
    from cachelab.report.largest_losses import largest_losses
    from cachelab.report.progress import doing, preparing, progress_bar
    from cachelab.requirement import tags_of, unmet
    from cachelab.tracking.mlflow.run_list import LARGEST_LOSS
    from cachelab.tracking.offline import FallbackRun
    from cachelab.used_settings import runs_vllm, used_settings

    root = build_root(config)
    tracking: Tracking = build_part("tracking", root.tracking, root.plugins)
    description = describe_job(config, context)
    # A wrong setting ends a run before a store hears of it. In a sweep it is a failed job, which the store holds too.
    built = build_job(root) if context.sweep is None else None
    if context.sweep is not None:
        description, known = known_job(root, tracking, description, searching=context.searching)
        if known is not None:
            return EndedJob(known, description)
    with FallbackRun(tracking, description) as tracked:
        built = built or build_job(root)
        parts, explainer = built.parts, built.explainer
        try:
            with preparing():
                workload = pipeline.prepare(parts)
        except NothingKept as nothing:
            if not context.searching:
                raise
            dataset = parts.dataset.load()
            tracked.log_dataset(dataset)
            nothing_score = nothing_kept(
                root, tracked, str(nothing), nothing.numbers, data_digest(config, dataset.digest)
            )
            return EndedJob(nothing_score, description)
        if description.sweep is None:
            on_notes(workload.dataset.notes)
        check_metric_names(root, parts.metrics, explainer, workload.numbers)
        if explainer is not None:
            explainer.check(parts, workload)
        description = description.settled(used_settings(config, list(workload.schedule)))
        tracked.log_parameters(description.parameters)
        tracked.log_dataset(workload.dataset)
        digest = job_digest(config, workload.dataset.digest, versions(description.tags.get("cachelab.vllm_version")))
        tracked.log_tags({"cachelab.job_digest": digest})
        tracked.log_workload(workload.numbers)
        if built.export is not None:
            built.export.write(workload.schedule)
        loads_vllm = runs_vllm(config["engine"]) and "vllm" not in sys.modules
        starting = "loading vLLM" if loads_vllm else "starting the engine"
        with progress_bar(len(workload.schedule), starting=starting) as progress:
            try:
                ran = pipeline.observe(parts, workload, progress)
            except RunInterrupted as interrupted:
                keep_what_ended(root, parts, workload, interrupted.run, description, tracked)
                raise
        with doing("computing the metrics"):
            result = pipeline.measured(parts, workload, *ran)
        explanation = None
        if explainer is not None and result.run.failure is None:
            with doing("explaining the breaks"):
                explanation = explainer.explain(parts, result)
            result = replace(result, numbers=with_explanation(result.numbers, explanation))
        with doing("writing the tables and figures"):
            folder = write_artifacts(
                result,
                description,
                parts.metrics,
                parts.tokenizer.name,
                root.artifacts,
                explanation=explanation,
                latex=root.report.format == "latex",
            )
        if lost := largest_losses(result, 1):
            tracked.log_tags({LARGEST_LOSS: lost[0].short})
        with doing("logging the run"):
            tracked.log_result(result.numbers, folder)
        if result.run.failure is not None:
            raise EngineError(f"{result.run.failure}. What had ended is in {folder}")
        values = result.numbers.values
        defined_here = [*parts.metrics, *NUMBERS]
        objectives, constraints = root.objective, root.objective_constraints
        if not context.searching:  # only a search reads the objectives: any other run may lack them
            absent = [name for name in dict.fromkeys([*objectives, *constraints]) if name not in values]
            for name in absent:
                log.warning("objective: %s", absence_line(name, result, defined_here))
            objectives = defined(objectives, values)
            constraints = {name: bound for name, bound in constraints.items() if name in values}
        beyond = violations(constraints, values)
        data = data_digest(config, workload.dataset.digest)
        found = score(objectives, values, Outcome(tracked.run_id, beyond, data_digest=data))
        tracked.log_tags({"cachelab.feasible": str(found.outcome.feasible).lower()} if beyond else {})
        failing = unmet(root.require, values, lambda name: absence_reason(name, result, defined_here))
        for line in failing:
            log.info("%s", line)
        tracked.log_tags(tags_of(failing) if root.require else {})
    found.outcome = replace(found.outcome, untracked=tracked.untracked)
    return EndedJob(found, description, result, tracked.where_to_look, failing, explanation)


def keep_what_ended(
    root: "Root",
    parts: "Parts",
    workload: "Workload",
    run: "EngineRun",
    description: "RunDescription",
    tracked: "FallbackRun",
) -> None:
    """Write and log the requests of an interrupted run, and its metrics."""
    from cachelab import pipeline
    from cachelab.metrics.observation import Observation
    from cachelab.report.artifacts import write_artifacts

    result = pipeline.measured(parts, workload, run, Observation.of(workload.requests, run))
    kinds = [kind for kind in root.artifacts if kind == "requests"]
    folder = write_artifacts(result, description, parts.metrics, parts.tokenizer.name, kinds)
    tracked.log_result(result.numbers, folder)


def nothing_kept(
    root: "Root", tracked: "FallbackRun", why: str, numbers: Mapping[str, float], data: str
) -> "Score | Scores":
    """The objectives of a search's job whose filter keeps nothing: the trial is infeasible, not failed."""
    from cachelab.objective import Outcome, score_of_nothing, violations
    from cachelab.tracking.job_record import INFEASIBLE

    tracked.log_workload(numbers)
    tracked.log_tags({"cachelab.feasible": "false", INFEASIBLE: why})
    # Nothing ran: there are 0 requests, blocks and tokens.
    beyond = violations(
        root.objective_constraints, {name: numbers.get(name, 0.0) for name in root.objective_constraints}
    )
    outcome = Outcome(tracked.run_id, beyond, tracked.untracked, nothing_kept=why, data_digest=data)
    return score_of_nothing(root.objective, numbers, outcome)


def known_job(
    root: "Root", tracking: "Tracking", description: "RunDescription", *, searching: bool
) -> "tuple[RunDescription, Score | Scores | None]":
    """A sweep's job with its digest and, if an earlier run finished it, the objectives of that run.

    A job whose dataset cannot be read has no digest. It is run, and fails with the reason in its log.
    """
    from cachelab.build import build_part
    from cachelab.dataset.cached_dataset import CachedDataset
    from cachelab.errors import CachelabError, TrackingError
    from cachelab.job_digest import data_digest, job_digest, versions
    from cachelab.objective import Outcome, defined, score, score_of_nothing, violations

    try:
        dataset = CachedDataset(build_part("dataset", root.dataset, root.plugins)).load()
    except CachelabError:
        return description, None
    vllm = versions(description.tags.get("cachelab.vllm_version"))
    description = replace(description, job_digest=job_digest(description.config, dataset.digest, vllm))
    if root.sweep.skip_finished is False:
        return description, None
    try:
        finished = tracking.find_finished(description, anywhere=root.sweep.skip_finished is True)
    except TrackingError:  # the store went away after the sweep began: FallbackRun reports it
        return description, None
    if finished is None:
        return description, None
    values, constraints = finished.values, root.objective_constraints
    data = data_digest(description.config, dataset.digest)
    if values.get("filter/conversations_kept") == 0:
        if not searching:
            return description, None  # it is run, and fails with the reason
        beyond = violations(constraints, {name: values.get(name, 0.0) for name in constraints})
        outcome = Outcome(
            finished.run_id, beyond, reused=True, nothing_kept="filter: keeps no conversation", data_digest=data
        )
        return description, score_of_nothing(root.objective, values, outcome)
    if not searching:
        constraints = {name: bound for name, bound in constraints.items() if name in values}
    beyond = violations(constraints, values)
    names = root.objective if searching else defined(root.objective, values)
    return description, score(names, values, Outcome(finished.run_id, beyond, reused=True, data_digest=data))


def sync(config: Config) -> None:
    """Log what the jobs of a folder could not log while they ran. Raises CachelabError."""
    from cachelab.build import build_part, build_root
    from cachelab.errors import ConfigError
    from cachelab.sweep.sync import sync_folder
    from cachelab.tracking.mlflow.tracking import MlflowTracking

    root = build_root(config)
    tracking = build_part("tracking", root.tracking, root.plugins)
    if not isinstance(tracking, MlflowTracking):
        raise ConfigError("sync: tracking=none holds no runs: leave it out, or name a store with tracking.uri=...")
    for line in sync_folder(tracking, Path(str(root.sync))):
        print(line)


def describe_job(config: Config, context: JobContext) -> "RunDescription":
    """What a store is told about the job before it runs."""
    import yaml

    from cachelab.engine.vllm.core import installed_vllm
    from cachelab.tracking.description import describe
    from cachelab.used_settings import runs_vllm

    return describe(
        run_name=context.run_name,
        config=config,
        config_yaml=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        overrides=context.overrides,
        command=context.command,
        engine=str(context.choices["engine"]),
        engine_version=installed_vllm() if runs_vllm(config["engine"]) else None,
        output_dir=context.output_dir,
        sweep=context.sweep,
        choices=context.choices,
    )
