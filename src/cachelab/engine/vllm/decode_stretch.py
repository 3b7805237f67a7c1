"""Takes scheduler steps together in which every running request decodes one token and nothing else is decided.

Written against vLLM 0.32 (`Scheduler.schedule`, `KVCacheManager.allocate_slots`).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.engine.core import EngineCore
    from vllm.v1.request import Request

    from cachelab.engine.vllm.recorded_executor import RecordedExecutor


class DecodeStretch:
    """The stretches of one simulated engine. It leaves the core and its executor as the same steps one by one do.

    With one group of full attention a step of a decoding request changes the block pool only where the request fills
    a block (which enters the prefix cache) or begins one. These calls of vLLM's KV-cache manager are made, in the
    order of the steps and of the running requests; the calls in between, which change nothing, are left out. A stretch
    ends before the step in which a request ends or the free blocks do not suffice, and after the step by whose end a
    request enters.
    """

    def __init__(self, core: "EngineCore") -> None:
        from vllm.v1.core.single_type_kv_cache_manager import FullAttentionManager

        self._scheduler: Scheduler = core.scheduler
        self._executor: RecordedExecutor = core.model_executor
        self._manager = core.scheduler.kv_cache_manager
        groups = self._manager.coordinator.single_type_managers
        scheduler = self._scheduler
        self.is_exact = (
            [type(group) for group in groups] == [FullAttentionManager]
            and groups[0].block_size == self._manager.block_pool.hash_block_size
            and scheduler.connector is None
            and scheduler.ec_connector is None
            and scheduler.aux_output_connector is None
            and scheduler.kv_metrics_collector is None
            and not scheduler.enable_kv_cache_events
            and not scheduler.num_lookahead_tokens
            and core.batch_queue is None
        )
        self._blocks = groups[0].req_to_blocks if self.is_exact else {}
        self._block_size = groups[0].block_size if self.is_exact else 0

    def take(self, until_ns: int | None) -> tuple[int, dict[str, list[int]]]:
        """Take as many steps as are decided now: their number, and the tokens of each running request.

        `until_ns`: when the next request enters (None: none does before a request ends). 0 steps where the scheduler
        has to decide.
        """
        running = self._scheduler.running
        if not self._is_steady(running):
            return 0, {}
        most = min(
            min(r.max_tokens - r.num_output_tokens, self._scheduler.max_model_len - r.num_tokens) for r in running
        )
        # The step that ends a request is the scheduler's.
        calls, steps = self._calls(running, most - 1)
        if steps < 1:
            return 0, {}
        request_ids = [request.request_id for request in running]
        context_tokens = sum(request.num_computed_tokens for request in running)
        steps = self._executor.advance(len(running), context_tokens, steps, until_ns)
        starts = [request.num_computed_tokens for request in running]
        tokens = {request_id: self._executor.emit(request_id, steps) for request_id in request_ids}
        given = [0] * len(running)
        for step, index in calls:
            if step >= steps:
                break
            request = running[index]
            if step > given[index]:
                request.append_output_token_ids(tokens[request.request_id][given[index] : step])
                given[index] = step
            request.num_computed_tokens = starts[index] + step
            allocated = self._manager.allocate_slots(request, 1)
            assert allocated is not None, "the free blocks were counted before"
        for index, request in enumerate(running):
            request.append_output_token_ids(tokens[request.request_id][given[index] :])
            request.num_computed_tokens = starts[index] + steps
        self._scheduler.current_step += steps
        self._executor.note_usage()
        return steps, tokens

    def _is_steady(self, running: "list[Request]") -> bool:
        """Whether the next step decodes one token of each running request, and admits none."""
        scheduler = self._scheduler
        if not running or scheduler.kv_holding_waiting or scheduler.deferred_waiting:
            return False
        if scheduler.waiting and len(running) < scheduler.max_num_active_reqs:
            return False
        if len(running) > min(scheduler.max_num_scheduled_tokens, scheduler.scheduler_config.max_num_batched_tokens):
            return False
        return all(
            request.num_computed_tokens == request.num_tokens - 1
            and self._executor.has_decoded(request.request_id, request.num_computed_tokens)
            for request in running
        )

    def _calls(self, running: "list[Request]", steps: int) -> tuple[list[tuple[int, int]], int]:
        """The steps and running requests for which blocks begin or are filled, and the steps that the blocks last."""
        size = self._block_size
        begins: list[int] = []
        calls: set[tuple[int, int]] = set()
        for index, request in enumerate(running):
            start = request.num_computed_tokens
            if len(self._blocks[request.request_id]) != -(-start // size):
                return [], 0
            fresh = range(-start % size, steps, size)
            begins.extend(fresh)
            calls.update((step, index) for step in fresh)
            calls.update((step, index) for step in range((-start - 1) % size, steps, size))
        free = self._manager.block_pool.get_num_free_blocks()
        if len(begins) > free:
            steps = sorted(begins)[free]
        return sorted(calls), steps
