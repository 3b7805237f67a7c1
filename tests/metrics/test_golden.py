"""Every metric of the ten requests in conftest.py, worked by hand."""

from dataclasses import replace
from typing import Any

import pytest

from cachelab.metrics.base import AnyMetric, measure
from cachelab.metrics.blocks import block_table
from cachelab.metrics.observation import Observation
from cachelab.metrics.requests import request_table
from cachelab.metrics.turn import turn_table

# Hits by block: S by B0 A1 B1 C0 A2 C1 (prefills 1 2 4 5 6 7; at 1.0 2.0 4.0 4.5 7.0 8.0 s),
# 11..14 by A1 A2 (prefills 2 6; at 2.0 7.0 s), 15..18, 19..23 and 24..27 by A2 alone, 31..34 by C1 alone.
# Gaps in requests: S 1 2 1 1 1, 11..14 4; sorted 1 1 1 1 2 4.
# Gaps in seconds: S 1.0 2.0 0.5 2.5 1.0, 11..14 5.0; sorted 0.5 1.0 1.0 2.0 2.5 5.0.
# TTFT (first token - submitted): A0 1.0 B0 1.5 A1 1.0 D0 3.0 B1 3.0 C0 5.0 A2 4.5 C1 3.0 D1 6.0;
#   sorted 1.0 1.0 1.5 3.0 3.0 3.0 4.5 5.0 6.0.
# E2E (finished - submitted): A0 1.6 B0 1.5 A1 1.4 D0 3.4 B1 5.0 C0 5.4 A2 6.1 C1 3.4 D1 6.6;
#   sorted 1.4 1.5 1.6 3.4 3.4 5.0 5.4 6.1 6.6.
# TPOT ((finished - first token) / (reply tokens - 1)): A0 0.6/3 A1 0.4/2 D0 0.4/2 B1 2.0/2 C0 0.4/1 A2 1.6/2 C1 0.4/1
#   D1 0.6/3 = 0.2 0.2 0.2 1.0 0.4 0.8 0.4 0.2, none for B0 (one token); sorted 0.2 0.2 0.2 0.2 0.4 0.4 0.8 1.0.
EXPECTED = {
    "hit_rate/first_prefill": 12 / 21,  # hit blocks 0+1+2+0+1+1+5+2+0, full blocks 2+1+4+0+2+2+6+3+1
    "hit_rate/first_prefill_tokens": 48 / 95,  # 0+4+8+0+4+4+20+8+0 of 9+6+18+3+8+8+24+12+7
    "hit_rate/per_request_mean": 65 / 162,  # (0 + 4/6 + 8/18 + 0 + 4/8 + 4/8 + 20/24 + 8/12 + 0) / 9 = (65/18) / 9
    "hit_rate/steady": 36 / 59,  # 9 // 2 = 4, so from B1 on: 4+4+20+8+0 of 8+8+24+12+7
    "hit_rate/later_turns": 40 / 69,  # A1 B1 A2 C1 D1: 8+4+20+8+0 of 18+8+24+12+7
    "hit_rate/vllm_gpu": 48 / 95,  # the counters of conftest.py
    "hit_rate/vllm_gpu_all_prefills": 20 / 31,  # (48 + 52) / (95 + 60) = 100 / 155
    "hit_rate/vllm_cpu": 8 / 47,  # the counters of conftest.py
    "hit_rate/first_prefill_host": 2 / 21,  # A1's third block and D1's first
    "hit_rate/first_prefill_all_tiers": 14 / 21,  # 12 + 2
    "hit_rate/ideal": 2 / 3,  # 0+1+3+0+1+1+5+2+1 = 14 of 21
    "hit_rate/ideal_tokens": 56 / 95,  # 14 blocks of 4
    "hit_rate/ideal_per_request_mean": (0 + 4 / 6 + 12 / 18 + 0 + 4 / 8 + 4 / 8 + 20 / 24 + 8 / 12 + 4 / 7) / 9,
    "hit_rate/ideal_steady": 40 / 59,  # from the fifth request on: (4+4+20+8+4) / (8+8+24+12+7)
    "hit_rate/of_ideal": 6 / 7,  # 12 / 14
    "hit_rate/logged": 24 / 42,  # (8 + 16) / (18 + 24): A1 and A2 log both numbers
    "hit_rate/opt": 2 / 3,  # 12 blocks hold everything that is used again
    "capacity/knee_blocks": 11,  # where D1's block lies when D1 comes: docs/metrics.md counts it
    "capacity/knee_tokens": 44,
    "capacity/knee_gib": 44 / 1024,  # at 1 MiB a token
    "capacity/enough_blocks": 11,
    "losses/reused": 48 / 95,  # test_losses.py has the terms request by request
    "losses/never_seen": 31 / 95,
    "losses/block_rounding": 4 / 95,
    "losses/last_token": 4 / 95,
    "losses/in_flight": 0,
    "losses/other": 8 / 95,
    "losses/layout": 0,
    "losses/expired": 0,
    "losses/eviction": 0,
    "losses/capacity": 0,
    "blocks/total": 21,
    "blocks/hit": 12,  # 6 + 2 + 1 + 1 + 1 + 1
    "blocks/reused_distinct": 6,
    "blocks/hits_per_block_mean": 2,  # 12 / 6
    "blocks/hits_per_block_max": 6,  # S
    "blocks/reuses": 6,  # 12 - 6: five of S, one of 11..14
    "reuse_gap/mean_s": 2,  # 12 / 6
    "reuse_gap/min_s": 0.5,
    "reuse_gap/max_s": 5,
    "reuse_gap/p50_s": 1.5,  # at 0.50 * 5 = 2.5: between 1.0 and 2.0
    "reuse_gap/p95_s": 4.375,  # at 0.95 * 5 = 4.75: 2.5 + 0.75 * 2.5
    "reuse_gap/mean_requests": 5 / 3,  # 10 / 6
    "reuse_gap/min_requests": 1,
    "reuse_gap/max_requests": 4,
    "reuse_gap/p50_requests": 1,  # between 1 and 1
    "reuse_gap/p95_requests": 3.5,  # at 4.75: 2 + 0.75 * 2
    # Steps 4 and 9 are held out: 4 sequences took 50 ms, not 40; 12 (more than 9, so outside) took 160 ms, not 120.
    "calibration/steps": 10,
    "calibration/held_out_error_p50": 0.225,  # between 1/5 and 1/4
    "calibration/held_out_error_p95": 0.2475,  # 0.2 + 0.95 * 0.05
    "calibration/held_out_bias": 160 / 210 - 1,
    "calibration/held_out_outside": 0.5,
    "calibration/linear_error_p50": 0.225,
    "requests/submitted": 10,
    "requests/completed": 9,
    "requests/rejected": 1,  # E0
    "requests/preempted": 2,  # A2, B1
    "requests/preemptions": 3,  # A2 twice, B1 once
    "requests/replies_cut": 1,  # A2
    "requests/prompt_tokens": 95,  # 9+6+18+3+8+8+24+12+7
    "requests/cached_tokens": 48,  # 0+4+8+0+4+4+20+8+0
    "engine/steps": 30,
    "engine/num_blocks": 12,
    "engine/kv_usage_max": 0.75,
    "engine/num_host_blocks": 20,
    "engine/kv_groups": 1,
    "engine/kv_hit_alignment": 4,
    "engine/kv_bytes_per_token": 1 << 20,  # a block of 4 MiB for 4 tokens
    "engine/kv_tokens_that_fit": 52,  # 13 blocks / 8 of one request of 32 tokens
    "engine/kv_gib": 13 * 4 / 1024,
    "latency/ttft_mean_s": 28 / 9,
    "latency/ttft_p50_s": 3,
    "latency/ttft_p95_s": 5.6,  # at 0.95 * 8 = 7.6: 5.0 + 0.6 * 1.0
    "latency/e2e_mean_s": 34.4 / 9,
    "latency/e2e_p50_s": 3.4,
    "latency/e2e_p95_s": 6.4,  # at 7.6: 6.1 + 0.6 * 0.5
    "latency/tpot_mean_s": 0.425,  # 3.4 / 8
    "latency/tpot_p50_s": 0.3,  # at 0.50 * 7 = 3.5: between 0.2 and 0.4
    "latency/tpot_p95_s": 0.93,  # at 0.95 * 7 = 6.65: 0.8 + 0.65 * 0.2
    "fleet/replicas": 2,
    # computed: A 9+4, 6+3, 4+3, D 3+3, 3+4: 42 (four tokens of A1 and D1 came from the host); B 3, 7, C 6, 6: 22
    "fleet/imbalance": 42 / 32,
    "fleet/duplicate_blocks_share": 1 / 12,
    "fleet/resent_requests": 1,
    "losses/routing": 0,
    "throughput/prompt_tokens_per_s": 9.5,  # 95 tokens, from 0.0 s (A0) to 10.0 s (D1)
    "throughput/output_tokens_per_s": 2.5,  # 4+1+3+3+3+2+3+2+4 = 25 tokens
    "agreement/requests": 9,
    "agreement/mismatches": 2,  # A2, B1
    "agreement/cached_tokens_apart_max": 4,  # A2: 20 and 16; B1: 4 and 0
    "agreement/hit_rate": 10 / 21,  # a block less for A2 and for B1
    "hit_rate/depth_first": 14 / 21,  # B0 A0 A1 A2 B1 C0 C1 D0 D1: 0+1+3+5+1+1+2+0+1
}

EXPECTED_SERIES = {
    # turn 0: A0 B0 C0 D0, hits 0+1+1+0 of 2+1+2+0; turn 1: A1 B1 C1 D1, hits 2+1+2+0 of 4+2+3+1; turn 2: A2, 5 of 6
    "turn/hit_rate": {0: 2 / 5, 1: 5 / 10, 2: 5 / 6},
    "turn/logged_hit_rate": {1: 8 / 18, 2: 16 / 24},
    "turn/requests": {0: 4, 1: 4, 2: 1},
    # A and D, B and C
    "fleet/replica_hit_rate": {0: 7 / 13, 1: 5 / 8},
    "fleet/replica_requests": {0: 5, 1: 4},
    "minute/hit_rate": {0: 12 / 21},  # all within 10 seconds
    "minute/requests": {0: 9},
}


def test_measure_golden_run(golden: Observation, default_metrics: tuple[AnyMetric, ...]) -> None:
    numbers = measure(default_metrics, golden)
    assert dict(numbers.values) == pytest.approx(EXPECTED)
    assert numbers.series.keys() == EXPECTED_SERIES.keys()
    for name, steps in EXPECTED_SERIES.items():
        assert dict(numbers.series[name]) == pytest.approx(steps)


def test_turn_table_golden_run(golden: Observation) -> None:
    assert turn_table(golden) == {
        "turn_index": [0, 1, 2],
        "requests": [4, 4, 1],
        "prompt_blocks": [5, 10, 6],
        "hit_blocks": [2, 5, 5],
        "hit_rate": [0.4, 0.5, pytest.approx(5 / 6)],
    }


def _rows(table: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def test_block_table_golden_run(golden: Observation) -> None:
    rows = _rows(block_table(golden))
    found = [tuple(row.values())[1:] for row in rows]
    assert found == [  # depth, hits, conversations, first and last hit in seconds; by first hit, then by depth
        (0, 6, 3, 1.0, 8.0),  # S, hit by A, B and C
        (1, 2, 1, 2.0, 7.0),  # 11..14
        (2, 1, 1, 7.0, 7.0),  # 15..18
        (3, 1, 1, 7.0, 7.0),  # 19 21 22 23
        (4, 1, 1, 7.0, 7.0),  # 24..27
        (1, 1, 1, 8.0, 8.0),  # 31..34
    ]
    assert len({row["block"] for row in rows}) == 6


def test_request_table_golden_run(golden: Observation) -> None:
    rows = {row["request_id"]: row for row in _rows(request_table(golden))}
    assert list(rows) == ["A0", "A1", "A2", "B0", "B1", "C0", "C1", "D0", "D1", "E0"]
    assert rows["A2"] == {
        "request_id": "A2",
        "conversation_id": "A",
        "turn_index": 2,
        "outcome": "completed",
        "prompt_tokens": 24,
        "reason": None,
        "cached_tokens": 20,
        "host_cached_tokens": 0,
        "reply_tokens": 3,
        "reply_tokens_cut": 2,
        "preemptions": 2,
        "prefill_index": 6,
        "submitted_s": 3.0,
        "first_scheduled_s": 7.0,
        "first_token_s": 7.5,
        "finished_s": 9.1,
        "full_blocks": 6,
        "hit_blocks": 5,
        "host_hit_blocks": 0,
        "ideal_hit_blocks": 5,
        "ttft_s": 4.5,
        "e2e_s": pytest.approx(6.1),
        "tpot_s": pytest.approx(0.8),
        "routing_tokens": 0,
        "never_seen_tokens": 4,  # the losses are worked by hand in test_losses.py
        "block_rounding_tokens": 0,
        "last_token_tokens": 0,
        "in_flight_tokens": 0,
        "other_tokens": 0,
        "layout_tokens": 0,
        "expired_tokens": 0,
        "eviction_tokens": 0,
        "capacity_tokens": 0,
        "evicted_by": None,
        "logged_prompt_tokens": 24,
        "logged_cached_tokens": 16,
        "replica": 0,
        "reference_cached_tokens": 16,
    }
    assert [row["replica"] for row in rows.values()] == [0, 0, 0, 1, 1, 1, 1, 0, 0, None]
    assert rows["A1"]["host_hit_blocks"] == 1
    assert rows["B0"]["tpot_s"] is None  # one token
    rejected = rows["E0"]
    assert rejected["reason"] == "prompt of 40 tokens, max_model_len 32"
    assert "replica" not in request_table(replace(golden, placement=None))
    absent = ("submitted_s", "first_scheduled_s", "first_token_s", "finished_s", "full_blocks", "hit_blocks")
    later = ("host_hit_blocks", "ideal_hit_blocks", "prefill_index", "ttft_s", "e2e_s", "tpot_s")
    assert [rejected[name] for name in (*absent, *later)] == [None] * 12
