"""A vLLM executor without a model: it emits the recorded reply of each request.

This module imports vLLM: import it only where an engine is built.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.executor.abstract import Executor
from vllm.v1.outputs import EMPTY_MODEL_RUNNER_OUTPUT, ModelRunnerOutput

from cachelab.engine.sizes import MAX_VLLM_BLOCKS
from cachelab.engine.step_cost import StepClock, StepCost
from cachelab.engine.vllm.core import REPLY
from cachelab.engine.vllm.host_tier import completed_transfers
from cachelab.engine.vllm.layer_specs import LayerSpecs
from cachelab.engine.vllm.step_work import WorkTracker
from cachelab.errors import EngineError

PLENTY_OF_BYTES = 1 << 60
"""The memory that the executor reports. It is so large that only `num_gpu_blocks_override` limits the blocks."""

ANY_LAYOUT = ("LBNHC",)
"""What vLLM prefers where no attention backend asks for another order of the bytes (`attention/backends/utils.py`)."""


@dataclass(slots=True)
class _Reply:
    """The state of one request, of whose reply `num_given` tokens are emitted."""

    token_ids: list[int]
    prompt_tokens: int
    num_given: int = 0


class RecordedExecutor(Executor):
    """Answers the engine core's calls without workers. Each step advances the clock `now_ns` by its cost.

    With `jump` all but the last token of a reply are emitted with the prefill, and the last one a step later. With one
    request at a time this gives the same blocks at the same times as token by token; with several it does not.
    """

    supports_pp = False
    layer_specs: LayerSpecs
    memory_bytes = PLENTY_OF_BYTES
    layouts: Sequence[str] = ANY_LAYOUT

    @classmethod
    def of(
        cls, layer_specs: LayerSpecs, memory_bytes: int | None = None, layouts: Sequence[str] = ANY_LAYOUT
    ) -> "type[RecordedExecutor]":
        """A subclass with the layers of a model and the memory for their KV cache (None: as much as it takes).

        `layouts`: the orders of the bytes in memory that the model's attention backends support. It is a class because
        vLLM creates the executor itself.
        """
        fields = {"layer_specs": layer_specs, "memory_bytes": memory_bytes or PLENTY_OF_BYTES, "layouts": layouts}
        return type(cls.__name__, (cls,), fields)

    def _init_executor(self) -> None:
        self.cost: StepClock = StepCost()
        self.jump = False
        self.observe_usage: Callable[[], float] = lambda: 0.0
        self.now_ns = 0
        self.kv_usage_max = 0.0
        self.first_scheduled_ns: dict[str, int] = {}
        self._replies: dict[str, _Reply] = {}
        self._tracker = WorkTracker()

    def collective_rpc(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"the recorded executor has no workers to run {method}")

    def check_health(self) -> None:
        return

    def shutdown(self) -> None:
        self._replies.clear()

    @property
    def supported_tasks(self) -> tuple[str, ...]:
        return ("generate",)

    def get_kv_cache_specs(self) -> list[dict[str, Any]]:
        return [dict(self.layer_specs)]

    def get_kv_connector_handshake_metadata(self) -> list[Any]:
        return []

    def determine_available_memory(self) -> list[int]:
        return [self.memory_bytes]

    def get_supported_kv_cache_layouts(self) -> list[list[str]]:
        return [list(self.layouts)]

    def set_kv_cache_layout(self, layout_name: str) -> None:
        return

    def initialize_from_config(self, kv_cache_configs: Any) -> None:
        if (num_blocks := kv_cache_configs[0].num_blocks) > MAX_VLLM_BLOCKS:
            raise EngineError(
                f"engine.kv_cache_gib: the memory holds {num_blocks:,} blocks, and vLLM's scheduler can have "
                f"{MAX_VLLM_BLOCKS:,}: set less"
            )

    def compile_or_warm_up_model(self) -> None:
        return

    def execute_model(self, scheduler_output: SchedulerOutput, non_block: bool = False) -> Any:
        output = replace(self._answer(scheduler_output), kv_connector_output=completed_transfers(scheduler_output))
        if not non_block:
            return output
        future: Future[ModelRunnerOutput] = Future()
        future.set_result(output)
        return future

    def _answer(self, scheduled: SchedulerOutput) -> ModelRunnerOutput:
        for request_id in scheduled.finished_req_ids:
            self._replies.pop(request_id, None)
        for new in scheduled.scheduled_new_reqs:
            # A preempted request can be scheduled as new again: its state is kept.
            if new.req_id not in self._replies:
                self._replies[new.req_id] = _Reply(new.sampling_params.extra_args[REPLY], new.prompt_len)
                self.first_scheduled_ns[new.req_id] = self.now_ns
        work = self._tracker.of(scheduled)
        if not scheduled.num_scheduled_tokens:
            return EMPTY_MODEL_RUNNER_OUTPUT

        sampled: list[list[int]] = []
        for request_id, end in self._tracker.ends.items():
            reply = self._replies[request_id]
            sampled.append(self._next_tokens(reply) if end == reply.prompt_tokens + reply.num_given else [])
        self.note_usage()
        self.now_ns += self.cost.step_ns(
            work.prefill_tokens, work.decode_sequences, max(1, work.decode_tokens), work.context_tokens
        )
        request_ids = list(scheduled.num_scheduled_tokens)
        return ModelRunnerOutput(request_ids, {r: i for i, r in enumerate(request_ids)}, sampled)

    def _next_tokens(self, reply: _Reply) -> list[int]:
        left = len(reply.token_ids) - reply.num_given
        count = left - 1 if self.jump and left > 1 else 1
        tokens = reply.token_ids[reply.num_given : reply.num_given + count]
        reply.num_given += count
        return tokens

    def note_usage(self) -> None:
        """Note how much of the cache running requests hold now."""
        self.kv_usage_max = max(self.kv_usage_max, self.observe_usage())

    def has_decoded(self, request_id: str, num_tokens: int) -> bool:
        """Whether the request's next step after `num_tokens` computed tokens is a decode that emits a token."""
        reply = self._replies[request_id]
        return self._tracker.computed(request_id) == num_tokens == reply.prompt_tokens + reply.num_given - 1

    def advance(self, sequences: int, context_tokens: int, steps: int, until_ns: int | None) -> int:
        """Advance the clock by up to `steps` decodes of all sequences, until it shows `until_ns`. Returns the steps."""
        for step in range(steps):
            self.now_ns += self.cost.step_ns(0, sequences, 1, context_tokens + step * sequences)
            if until_ns is not None and self.now_ns >= until_ns:
                return step + 1
        return steps

    def emit(self, request_id: str, count: int) -> list[int]:
        """The next `count` tokens of a request that decodes one in each of as many steps."""
        reply = self._replies[request_id]
        tokens = reply.token_ids[reply.num_given : reply.num_given + count]
        reply.num_given += count
        self._tracker.decoded(request_id, count)
        return tokens
