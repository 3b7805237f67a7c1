"""What a scheduler step computes, from the scheduler's output."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput


class StepWork(NamedTuple):
    """The work of one step.

    `prefill_tokens`: positions computed as a batch: those of prompts, and those that a preempted request computes
    again. `decode_sequences`: requests that compute a new position after that. `decode_tokens`: the most new positions
    of one request (1, except for a simulated jump). `context_tokens`: tokens in the cache in front of the scheduled
    positions, summed over all scheduled requests.
    """

    prefill_tokens: int
    decode_sequences: int
    decode_tokens: int
    context_tokens: int


class WorkTracker:
    """Derives the work of each step of one engine. `ends`: the last scheduled position of each request of the step."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self._batched_up_to: dict[str, int] = {}

    def computed(self, request_id: str) -> int:
        """How many positions of the request were computed before, those of its prompt included."""
        return self._batched_up_to[request_id]

    def decoded(self, request_id: str, count: int) -> None:
        """Note that the request has decoded this many further positions, one a step."""
        self._batched_up_to[request_id] += count

    def of(self, scheduled: "SchedulerOutput") -> StepWork:
        """The work of the next step."""
        for request_id in scheduled.finished_req_ids:
            self._batched_up_to.pop(request_id, None)
        starts: dict[str, int] = {}
        for new in scheduled.scheduled_new_reqs:
            starts[new.req_id] = new.num_computed_tokens
            # A preempted request can be scheduled as new again: what it computed before is kept.
            self._batched_up_to.setdefault(new.req_id, new.prompt_len)
        cached = scheduled.scheduled_cached_reqs
        starts.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        self.ends = {}
        prefill_tokens = decode_sequences = decode_tokens = context_tokens = 0
        for request_id, num_tokens in scheduled.num_scheduled_tokens.items():
            start = starts[request_id]
            end = start + num_tokens
            # Positions of the prompt, and those computed before a preemption, are computed as one batch.
            batched = max(0, min(end, self._batched_up_to[request_id]) - start)
            prefill_tokens += batched
            decode_tokens = max(decode_tokens, num_tokens - batched)
            decode_sequences += num_tokens > batched
            context_tokens += start
            self._batched_up_to[request_id] = max(self._batched_up_to[request_id], end)
            self.ends[request_id] = end
        return StepWork(prefill_tokens, decode_sequences, decode_tokens, context_tokens)


class StepRecorder:
    """Records the work and the seconds of each step of an engine with a model."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, int, float]] = []
        self._tracker = WorkTracker()
        self._work: StepWork | None = None

    def scheduled(self, output: "SchedulerOutput") -> None:
        """Note what the step that is running computes."""
        work = self._tracker.of(output)
        self._work = work if output.num_scheduled_tokens else None

    def ended(self, step_ns: int) -> None:
        """Note how long it took. A step that computed nothing is left out."""
        if self._work is not None:
            work = self._work
            self.steps.append((work.prefill_tokens, work.decode_sequences, work.context_tokens, step_ns / 1e9))
        self._work = None
