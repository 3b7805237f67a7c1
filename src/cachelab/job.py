"""One job, from its composed config to its objectives."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cachelab.job_context import JobContext
from cachelab.job_description import Config, describe_job

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
    from cachelab.known_job import known_job, nothing_kept
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
                options=root.report,
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
