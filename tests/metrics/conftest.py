"""What the tests of the metrics share: every default metric, and a run of ten requests worked by hand.

Block size 4; S = [1, 2, 3, 4] is a prefix that conversations A, B and C share. In the order of first prefills:

| # | request | prompt (| ends a full block)                          | tokens | full | ideal | hit |
|---|---------|-----------------------------------------------------|--------|------|-------|-----|
| 0 | A0      | S|11..14|15                                         | 9      | 2    | 0     | 0   |
| 1 | B0      | S|31 32                                             | 6      | 1    | 1     | 1   |
| 2 | A1      | S|11..14|15..18|19 21 22 23|24 25                   | 18     | 4    | 3     | 2   |
| 3 | D0      | 61 62 63                                            | 3      | 0    | 0     | 0   |
| 4 | B1      | S|31..34|                                           | 8      | 2    | 1     | 1   |
| 5 | C0      | S|31..34|                                           | 8      | 2    | 1     | 1   |
| 6 | A2      | S|11..14|15..18|19 21 22 23|24..27|28 41 42 43|     | 24     | 6    | 5     | 5   |
| 7 | C1      | S|31..34|51..54|                                    | 12     | 3    | 2     | 2   |
| 8 | D1      | 61..64|65 66 67                                     | 7      | 1    | 1     | 0   |
| - | E0      | 40 tokens, longer than the engine takes: rejected   | 40     | -    | -     | -   |
| sum of the completed                                            | 95     | 21   | 14    | 12  |

A1's third block was evicted before A1 came, D1's first before D1. C0's second block lies in the cache (B1), but a
prompt's last token is always computed: (8 - 1) // 4 = 1. The last token of a reply is never computed, so C0 leaves
8 + 2 - 1 = 9 tokens, two full blocks, and C1's third block is new.
"""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from cachelab.engine.base import EngineCounters
from cachelab.engine.kv_layout import KvGroup, KvLayout
from cachelab.engine.step_points import StepPoints
from cachelab.fleet.base import Placement
from cachelab.message import LoggedUsage
from cachelab.metrics.base import AnyMetric
from cachelab.metrics.observation import Observation
from cachelab.request import Request, RequestRecord

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def default_metrics() -> tuple[AnyMetric, ...]:
    """All that conf/metrics/default.yaml names, in its order."""
    metrics: list[AnyMetric] = []
    for path in yaml.safe_load((ROOT / "conf/metrics/default.yaml").read_text(encoding="utf-8")).values():
        module, name = path.rsplit(".", 1)
        metrics.extend(getattr(importlib.import_module(module), name))
    return tuple(metrics)


S = [1, 2, 3, 4]
A0 = [*S, 11, 12, 13, 14, 15]
A1 = [*A0, 16, 17, 18, 19, 21, 22, 23, 24, 25]
A2 = [*A1, 26, 27, 28, 41, 42, 43]
B0 = [*S, 31, 32]
B1 = [*B0, 33, 34]
C1 = [*B1, 51, 52, 53, 54]
D0 = [61, 62, 63]
D1 = [*D0, 64, 65, 66, 67]

# id: prompt, recorded reply, cached tokens, reply tokens, cut, preemptions,
#     prefill index, then seconds: submitted, first scheduled, first token, finished
GOLDEN = {
    "A0": (A0, [16, 17, 18, 19], 0, 4, 0, 0, 0, 0.0, 0.5, 1.0, 1.6),
    "A1": (A1, [26, 27, 28], 8, 3, 0, 0, 2, 1.6, 2.0, 2.6, 3.0),
    "A2": (A2, [44, 45, 46, 47, 48], 20, 3, 2, 2, 6, 3.0, 7.0, 7.5, 9.1),
    "B0": (B0, [33], 4, 1, 0, 0, 1, 0.0, 1.0, 1.5, 1.5),
    "B1": (B1, [35, 36, 37], 4, 3, 0, 1, 4, 1.5, 4.0, 4.5, 6.5),
    "C0": (B1, [51, 52], 4, 2, 0, 0, 5, 0.0, 4.5, 5.0, 5.4),
    "C1": (C1, [55, 56], 8, 2, 0, 0, 7, 5.4, 8.0, 8.4, 8.8),
    "D0": (D0, [64, 65, 66], 0, 3, 0, 0, 3, 0.0, 2.5, 3.0, 3.4),
    "D1": (D1, [68, 69, 70, 71], 0, 4, 0, 0, 8, 3.4, 9.0, 9.4, 10.0),
}

GOLDEN_COUNTERS = EngineCounters(
    clock="simulated",
    block_size=4,
    num_blocks=12,
    steps=30,
    kv_usage_max=0.75,
    queries_tokens=95,
    hits_tokens=48,
    preempted_queries_tokens=60,
    preempted_hits_tokens=52,
    host_queries_tokens=47,
    host_hits_tokens=8,
    num_host_blocks=20,
    kv_bytes_per_token=1 << 20,
    layout=KvLayout((KvGroup("full", 16, 4, 4 << 20),), 4 << 20, 12, 4, 32, 52, 4),
)

# The two blocks that had been evicted came from the host tier: A1's third, D1's first.
GOLDEN_HOST = {"A1": 4, "D1": 4}
# What a second engine found: a block less for A2, none for B1.
GOLDEN_REFERENCE = {"A2": 16, "B1": 0}


# What the log says: A1 and A2 count, B1 does not, since its cached tokens are missing.
GOLDEN_USAGE = {"A1": LoggedUsage(18, 8), "A2": LoggedUsage(24, 16), "B1": LoggedUsage(8)}


def _golden_requests() -> list[Request]:
    rejected = Request("E0", "E", 0, np.arange(40, dtype=np.int32), np.array([1], dtype=np.int32), (), None, 0.0)
    completed = [
        Request(
            name,
            name[0],
            int(name[1]),
            np.array(row[0], np.int32),
            np.array(row[1], np.int32),
            (),
            None,
            0.0,
            usage=GOLDEN_USAGE.get(name),
        )
        for name, row in GOLDEN.items()
    ]
    return [*completed, rejected]


def _golden_records() -> list[RequestRecord]:
    records = []
    for name, (prompt, _, cached, reply, cut, preemptions, index, *times) in GOLDEN.items():
        submitted, scheduled, first, finished = (round(time * 1e9) for time in times)
        records.append(
            RequestRecord(
                request_id=name,
                conversation_id=name[0],
                turn_index=int(name[1]),
                outcome="completed",
                prompt_tokens=len(prompt),
                cached_tokens=cached,
                host_cached_tokens=GOLDEN_HOST.get(name, 0),
                reply_tokens=reply,
                reply_tokens_cut=cut,
                preemptions=preemptions,
                prefill_index=index,
                submitted_ns=submitted,
                first_scheduled_ns=scheduled,
                first_token_ns=first,
                finished_ns=finished,
            )
        )
    return [*records, RequestRecord("E0", "E", 0, "rejected", 40, reason="prompt of 40 tokens, max_model_len 32")]


# 10 ms per decoding sequence, but for the fifth and the tenth step, which are held out: 50 ms of 4, 160 ms of 12.
GOLDEN_STEPS = [(0, d, 0, 0.05 if d == 4 else 0.16 if d == 12 else 0.01 * d) for d in (1, 2, 3, 5, 4, 6, 7, 8, 9, 12)]


# A and D ran on replica 0, B and C on replica 1; E0 was rejected. Only S is in both caches, of the 12 different blocks.
# When a request was routed, the other replica held nothing of its prompt.
GOLDEN_PLACEMENT = Placement(2, (0, 0, 0, 1, 1, 1, 1, 0, 0, -1), (0,) * 10, 1, 12, 1)


@pytest.fixture(scope="session")
def golden() -> Observation:
    records = _golden_records()
    references = [
        replace(record, cached_tokens=GOLDEN_REFERENCE.get(record.request_id, record.cached_tokens))
        for record in records
    ]
    requests = {request.id: request for request in _golden_requests()}
    steps = StepPoints.of(GOLDEN_STEPS)
    return Observation(requests, records, GOLDEN_COUNTERS, references, steps=steps, placement=GOLDEN_PLACEMENT)


@pytest.fixture(scope="session")
def nothing_completed(golden: Observation) -> Observation:
    """E0 alone, on an engine that counted nothing: every ratio, distribution and rate has a zero denominator."""
    counters = replace(golden.counters, queries_tokens=0, hits_tokens=0, preempted_queries_tokens=0)
    counters = replace(counters, preempted_hits_tokens=0, host_queries_tokens=None, host_hits_tokens=None)
    counters = replace(counters, num_host_blocks=None, layout=None, num_blocks=None, steps=None, kv_usage_max=None)
    return Observation({"E0": golden.requests["E0"]}, golden.records[-1:], counters)


class Observe:
    """Makes a run of requests that are prefilled in the order in which they are given, each second one."""

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        hit_blocks: Sequence[int] | None = None,
        replies: Sequence[Sequence[int]] | None = None,
        *,
        block_size: int = 4,
        turns: Sequence[int] | None = None,
    ) -> Observation:
        requests = {}
        records = []
        for index, prompt in enumerate(prompts):
            reply = replies[index] if replies else [0]
            turn = turns[index] if turns else 0
            cached = block_size * hit_blocks[index] if hit_blocks else 0
            ids, reply_ids = np.array(prompt, np.int32), np.array(reply, np.int32)
            request = Request(f"r{index}", f"c{index}", turn, ids, reply_ids, (), None, 0.0)
            requests[request.id] = request
            records.append(
                RequestRecord(
                    request.id,
                    request.conversation_id,
                    turn,
                    "completed",
                    len(prompt),
                    cached_tokens=cached,
                    reply_tokens=len(reply),
                    prefill_index=index,
                    submitted_ns=0,
                    first_scheduled_ns=index * 10**9,
                    first_token_ns=index * 10**9,
                    finished_ns=index * 10**9,
                )
            )
        counters = EngineCounters("wall", block_size, 100, len(prompts), 0.5, sum(map(len, prompts)), 0, 0, 0)
        return Observation(requests, records, counters)


@pytest.fixture(scope="session")
def observe() -> Observe:
    return Observe()
