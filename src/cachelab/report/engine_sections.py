"""The tables of what the engine did: requests by outcome, its counters, latency and throughput."""

from cachelab.engine.base import EngineCounters
from cachelab.pipeline import Result
from cachelab.report.reuse_sections import clock_suffix
from cachelab.report.section import Section, count, grouped, percent, plain, seconds

RULES = {"vllm": "vLLM's rules", "trace": "the rules of block traces"}
"""What each set of counting rules is called."""


def outcomes(result: Result) -> Section:
    """Requests by outcome, with the count of each reason for rejection."""
    records = result.run.records
    rejected = [record.reason or "no reason given" for record in records if record.outcome == "rejected"]
    rows = [
        ("submitted", count(len(records))),
        ("completed", count(len(records) - len(rejected))),
        ("rejected", count(len(rejected))),
        *((f"  {reason}", count(number)) for reason, number in grouped(rejected)),
        ("preempted", count(sum(record.preemptions > 0 for record in records))),
        ("replies cut to fit", count(sum(record.reply_tokens_cut > 0 for record in records))),
    ]
    return Section("Requests", ("outcome", "requests"), rows)


def engine_counters(result: Result) -> Section:
    """The engine's own counters."""
    counters = result.run.counters
    rows = [
        ("scheduler steps", count(counters.steps)),
        ("usable blocks", _blocks(counters)),
        ("highest share of blocks in use", percent(counters.kv_usage_max)),
        ("prefix cache: tokens queried", count(counters.queries_tokens)),
        ("prefix cache: tokens hit", count(counters.hits_tokens)),
        ("  after preemptions: queried", count(counters.preempted_queries_tokens)),
        ("  after preemptions: hit", count(counters.preempted_hits_tokens)),
        ("host tier: tokens queried", count(counters.host_queries_tokens)),
        ("host tier: tokens hit", count(counters.host_hits_tokens)),
        ("host tier: capacity in blocks", count(counters.num_host_blocks)),
    ]
    note = f"Blocks are counted by {RULES[counters.rules]}."
    note += "" if counters.host_queries_tokens is not None else " No host tier (KV connector) is on."
    return Section("Engine counters", ("counter", "value"), rows, note)


def timing(result: Result) -> Section:
    """Latency and throughput. Simulated seconds are marked as simulated."""
    values = result.numbers.values
    statistics = ("mean", "p50", "p95")
    labels = {"ttft": "time to first token", "e2e": "whole request", "tpot": "per output token after the first"}
    rows = [
        (f"{label}, s", *(seconds(values.get(f"latency/{key}_{statistic}_s")) for statistic in statistics))
        for key, label in labels.items()
    ]
    for kind in ("prompt", "output"):
        rate = values.get(f"throughput/{kind}_tokens_per_s")
        rows.append((f"{kind} tokens/s", plain(None if rate is None else round(rate)), "", ""))
    return Section(f"Latency and throughput{clock_suffix(result)}", ("", *statistics), rows)


def _blocks(counters: EngineCounters) -> str:
    several = counters.layout is not None and not counters.layout.is_plain
    return count(counters.num_blocks) + ("" if several else f" x {counters.block_size} tokens")
