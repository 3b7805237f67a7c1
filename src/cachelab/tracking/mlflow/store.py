"""One experiment of an MLflow store: finds, starts and ends its runs; imports MLflow."""

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus, ViewType
from mlflow.exceptions import MlflowException

from cachelab.tracking.description import RunDescription, SweepMember
from cachelab.tracking.process import Process

PARENT = "mlflow.parentRunId"
NUMBER = "cachelab.job_number"
DIGEST = "cachelab.job_digest"
SWEEP_DIGEST = "cachelab.sweep_digest"
PROCESS = "cachelab.process"
ERROR = "cachelab.error"
ATTEMPTS = "cachelab.attempts"
REUSED = "cachelab.reused."
"""Tag of a sweep's run, followed by a job's number: the id of the run of another sweep that the job reuses."""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class MlflowStore:
    """An experiment and the client that reaches its store."""

    client: MlflowClient
    uri: str
    experiment_id: str

    def search(self, *conditions: str) -> Iterator[Run]:
        """The experiment's runs that meet all conditions (in MLflow's filter language), latest first."""
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                " and ".join(conditions),
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=_PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def children(self, parent_run_id: str) -> list[Run]:
        """The runs of a sweep's jobs, sorted by job number."""
        found = self.search(tag_is(PARENT, parent_run_id))
        return sorted(found, key=lambda run: int(run.data.tags.get(NUMBER, -1)))

    def child(self, member: SweepMember) -> Run | None:
        """The run of one job of a sweep; None if there is none yet."""
        if member.parent_run_id is None:
            return None
        return next(self.search(tag_is(PARENT, member.parent_run_id), tag_is(NUMBER, str(member.number))), None)

    def find_finished(self, job_digest: str) -> Run | None:
        """The latest finished run of this job in the experiment, in any sweep; None if there is none."""
        return next(self.search(tag_is(DIGEST, job_digest), "attributes.status = 'FINISHED'"), None)

    def start(self, run_name: str, description: RunDescription) -> tuple[Run, bool]:
        """The run of a job, and whether it existed before.

        An unfinished run of the same job of the same sweep is resumed, else a run is created. Raises MlflowException if
        the server is not MLflow.
        """
        tags = identity(description)
        if description.sweep is not None and (earlier := self.child(description.sweep)) is not None:
            if earlier.data.tags.get(DIGEST) == description.job_digest and earlier.info.status != "FINISHED":
                return self._resume(earlier, tags), True
            self._detach(earlier)
        run = self.client.create_run(self.experiment_id, tags=machine_tags() | tags, run_name=run_name)
        if not run.info.run_id:
            raise MlflowException("the server at this address is not MLflow: it created a run without an id")
        return run, False

    def close_as_killed(self, run: Run) -> None:
        """End a run whose process died: KILLED."""
        self.client.set_tag(run.info.run_id, ERROR, f"its process ({run.data.tags.get(PROCESS, 'unknown')}) was killed")
        self.client.set_terminated(run.info.run_id, "KILLED")

    def end_dead_runs(self) -> None:
        """End the runs of this machine, in any experiment, whose process died without ending them: FAILED."""
        experiments = [one.experiment_id for one in self.client.search_experiments()]
        here = socket.gethostname().replace("'", "''")
        running = f"attributes.status = 'RUNNING' and tags.`{PROCESS}` LIKE '{here} %'"
        for run in self.client.search_runs(experiments, running, max_results=_PAGE):
            process = Process.of(run.data.tags.get(PROCESS))
            if process is not None and process.alive is False and self._still_left(run):
                self.client.set_tag(run.info.run_id, ERROR, f"process died ({process})")
                self.client.set_terminated(run.info.run_id, "FAILED")

    def _still_left(self, found: Run) -> bool:
        """Whether nothing has happened to a run since it was found: another process may be logging it (`sync`)."""
        run = self.client.get_run(found.info.run_id)
        same = run.data.tags.get(PROCESS) == found.data.tags.get(PROCESS)
        return bool(same and run.info.status == found.info.status)

    def _resume(self, run: Run, tags: Mapping[str, str]) -> Run:
        run_id = run.info.run_id
        attempts = int(run.data.tags.get(ATTEMPTS, 1)) + 1
        for key, value in {**tags, ATTEMPTS: str(attempts)}.items():
            self.client.set_tag(run_id, key, value)
        if ERROR in run.data.tags:
            self.client.delete_tag(run_id, ERROR)
        self.client.update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        return run

    def _detach(self, run: Run) -> None:
        """Remove a run from its sweep: another job (other data or config) has its number now."""
        self.client.set_tag(run.info.run_id, "cachelab.former_parent", run.data.tags[PARENT])
        self.client.delete_tag(run.info.run_id, PARENT)


def identity(description: RunDescription) -> dict[str, str]:
    """The tags by which a run is found later."""
    tags = {PROCESS: str(Process.this())}
    if description.job_digest is not None:
        tags[DIGEST] = description.job_digest
    if description.sweep is not None:
        tags[NUMBER] = str(description.sweep.number)
        if description.sweep.parent_run_id is not None:
            tags[PARENT] = description.sweep.parent_run_id
    return tags


def tag_is(name: str, value: str) -> str:
    """The condition in MLflow's filter language that a tag has this value."""
    quoted = value.replace("'", "''")
    return f"tags.`{name}` = '{quoted}'"


def machine_tags() -> dict[str, str]:
    """The tags for user and source that MLflow's pages show."""
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user of a container may have no name
        user = str(os.getuid())
    return {"mlflow.user": user, "mlflow.source.name": "cachelab", "mlflow.source.type": "LOCAL"}
