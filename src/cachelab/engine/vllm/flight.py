"""One request on its way through a vLLM engine core."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cachelab.engine.vllm.clock import Timeline
from cachelab.errors import EngineError
from cachelab.request import Request, RequestRecord
from cachelab.tokens import AnyTokens, TokenIds

if TYPE_CHECKING:
    from vllm.v1.engine import EngineCoreOutput
    from vllm.v1.request import Request as VllmRequest


@dataclass
class Flight:
    """A request that was sent, or is about to be. `reply_tokens`: how many tokens the engine generates for it."""

    request: Request
    lane: Iterator[Request]
    record: RequestRecord
    prompt_ids: AnyTokens
    reply_tokens: int
    vllm_request: "VllmRequest"
    preemptions: int = 0
    output_ids: list[int] = field(default_factory=list)

    def take(self, output: "EngineCoreOutput", timeline: Timeline) -> RequestRecord | None:
        """Add one output of the engine. Returns the record if the request has ended.

        Raises EngineError if it ended with other than the wanted number of tokens.
        """
        self.output_ids += output.new_token_ids
        if output.events:
            self.preemptions += sum(event.type.name == "PREEMPTED" for event in output.events)
        if (stats := output.prefill_stats) is not None:
            self.record = replace(
                self.record,
                cached_tokens=stats.num_local_cached_tokens,
                host_cached_tokens=stats.num_external_cached_tokens,
                first_scheduled_ns=timeline.first_scheduled_ns(output),
                first_token_ns=timeline.now_ns(),
            )
        if output.finish_reason is None:
            return None
        if str(output.finish_reason) != "length":
            raise EngineError(f"request {output.request_id} ended early: {output.finish_reason} {output.stop_reason}")
        if len(self.output_ids) != self.reply_tokens:
            generated = f"{len(self.output_ids)} of {self.reply_tokens} tokens were generated"
            raise EngineError(f"request {output.request_id} ended early: {generated}")
        return replace(
            self.record,
            preemptions=self.preemptions,
            reply_tokens=len(self.output_ids),
            finished_ns=timeline.now_ns(),
        )

    def ran(self, output_ids: TokenIds) -> Request | None:
        """The request with the prompt and the reply that it had; None if they are those of the schedule."""
        request = self.request
        # The part of the recorded reply takes no memory, and stays a neighbour of its prompt (`tokens.joined`).
        recorded = request.reply_ids[: len(output_ids)]
        reply_ids = recorded if (as_recorded := np.array_equal(recorded, output_ids)) else output_ids
        if self.prompt_ids is request.prompt_ids and as_recorded and len(recorded) == len(request.reply_ids):
            return None
        return replace(request, prompt_ids=self.prompt_ids, reply_ids=reply_ids, kept_tokens=0)


def prefill_indices(completed: Sequence[RequestRecord]) -> dict[str, int]:
    """The rank of each request by the time of its first prefill. `completed` is in the order of submission.

    The scheduler is first come, first served: requests first scheduled in the same step keep their order of submission.
    """
    in_order = sorted(completed, key=lambda record: record.first_scheduled_ns or 0)
    return {record.request_id: index for index, record in enumerate(in_order)}
