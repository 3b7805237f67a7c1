"""The records of replayed requests, with the times of a cost model."""

from collections.abc import Sequence

import numpy as np

from cachelab.engine.replay_order import Admitted
from cachelab.engine.step_cost import StepCost, check_clock
from cachelab.prefix_cache.accesses import Int64s
from cachelab.request import RequestRecord


def completed(
    cost: StepCost,
    step_tokens: int,
    admitted: Sequence[Admitted],
    prompts: Int64s,
    cached: Int64s,
    replies: Int64s,
    cut: Int64s,
) -> dict[str, RequestRecord]:
    """Records by request id, with the times of `cost` for requests that run one after another.

    A step computes up to `step_tokens` tokens. The arrays hold one value per admitted request, in tokens.
    Shape of each: (num_admitted,). Raises ConfigError if the simulated clock overflows.
    """
    step_ns, decode_ns = cost.step_ns(0, 0), cost.step_ns(0, 1)
    token_ns = cost.step_ns(1, 0) - step_ns
    prefill = prompts - cached
    chunks = chunks_of(prefill, step_tokens)
    # Python's integers do not overflow; numpy's do.
    check_clock(int(chunks.sum()) * step_ns + int(prefill.sum()) * token_ns + int((replies - 1).sum()) * decode_ns)
    to_first_token = chunks * step_ns + prefill * token_ns
    ends = np.cumsum(to_first_token + (replies - 1) * decode_ns)
    ends_from_start = np.concatenate([np.zeros(1, np.int64), ends])
    starts = ends_from_start[:-1]
    submitted = ends_from_start[[entry.after for entry in admitted]]
    columns = (prompts, cached, replies, cut, submitted, starts, starts + to_first_token, ends)
    rows = zip(admitted, *(column.tolist() for column in columns), strict=True)
    return {
        request.id: RequestRecord(
            request.id,
            request.conversation_id,
            request.turn_index,
            "completed",
            prompt,
            cached_tokens=hit,
            reply_tokens=reply,
            reply_tokens_cut=lost,
            prefill_index=index,
            submitted_ns=submitted_ns,
            first_scheduled_ns=start_ns,
            first_token_ns=token_ns,
            finished_ns=end_ns,
        )
        for index, ((request, _), prompt, hit, reply, lost, submitted_ns, start_ns, token_ns, end_ns) in enumerate(rows)
    }


def chunks_of(prefill: Int64s, step_tokens: int) -> Int64s:
    """Scheduler steps of each prefill. A fully cached prompt (rules of block traces) still takes one step."""
    return np.maximum(-(-prefill // step_tokens), 1)
