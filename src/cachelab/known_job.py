"""The objectives of a job whose engine does not run: an earlier run finished it, or its filter keeps nothing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachelab.config import Root
    from cachelab.objective import Score, Scores
    from cachelab.tracking.base import Tracking
    from cachelab.tracking.description import RunDescription
    from cachelab.tracking.offline import FallbackRun


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
