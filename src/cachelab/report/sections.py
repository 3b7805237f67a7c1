"""The tables of a finished run. An absent number is shown as "-", with the reason if it is known."""

from collections.abc import Callable, Mapping

from cachelab.engine.base import EngineCounters
from cachelab.metrics.base import Ratio
from cachelab.metrics.capacity import gib
from cachelab.metrics.hit_rate import RATIOS
from cachelab.metrics.ideal import ideal, ideal_steady, ideal_tokens, of_ideal
from cachelab.metrics.logged import logged_rates
from cachelab.metrics.losses import TERMS, lost
from cachelab.metrics.observation import Observation, if_measured
from cachelab.pipeline import Result
from cachelab.report.absence import why_absent
from cachelab.report.calibration_section import calibration
from cachelab.report.gap_section import gap
from cachelab.report.layout_section import layout_section
from cachelab.report.losses_figure import LABELS
from cachelab.report.reuse_sections import clock_suffix, reuse, reuse_gaps
from cachelab.report.section import Section, count, grouped, money, percent, plain, seconds
from cachelab.report.settings import settings, stages
from cachelab.report.turns_section import turns
from cachelab.report.validation_sections import agreement, published
from cachelab.report.worst_conversations import worst_section
from cachelab.requirement import bounds_of
from cachelab.tracking.description import RunDescription

_UNITS = {
    f"hit_rate/{name}": "blocks"
    for name in ("first_prefill", "first_prefill_host", "first_prefill_all_tiers", "ideal", "of_ideal")
}
_RULES = {"vllm": "vLLM's rules", "trace": "the rules of block traces"}


def headline(result: Result) -> str:
    """The run's hit rate in one line."""
    ratio = if_measured(RATIOS["hit_rate/first_prefill"], result.observation)
    if ratio is None:
        return "first-prefill block hit rate - (the server does not say what was cached)"
    # The rules of block traces count the partial last block of a prompt too.
    kind = "listed" if result.observation.counters.rules == "trace" else "full"
    if ratio.value is None:
        return f"first-prefill block hit rate - (no completed request has a {kind} block)"
    return f"first-prefill block hit rate {percent(ratio.value)} ({_of(ratio)} {kind} prompt blocks)"


def context(result: Result) -> str:
    """The context of the headline: how many requests completed, and the hit rate of an unlimited cache."""
    ended = f"{count(len(result.observation.completed))} of {count(len(result.observation.records))} requests completed"
    ceiling = result.numbers.values.get("hit_rate/ideal")
    return ended if ceiling is None else f"{ended}; an unlimited cache would hit {percent(ceiling)}"


def logged_line(result: Result) -> str | None:
    """The hit rate that the log states, next to this run and to an unlimited cache; None where the log has none."""
    rates = logged_rates(result.observation)
    if rates is None:
        return None
    logged, run, ideal = (percent(rate.value) for rate in rates)
    return (
        f"the log says {logged}; this run {run}; an unlimited cache {ideal} (in tokens, the requests with logged usage)"
    )


def sections(result: Result, description: RunDescription, *, max_turns: int) -> list[Section]:
    """Every table of a run, in reading order. Of more than `max_turns` turns, those in the middle share one row."""
    values = result.numbers.values
    found = [
        settings(description),
        requirements(values, description),
        published(result),
        hit_rates(result),
        if_measured(capacity, result),
        losses(result.observation),
        worst_section(result.observation),
        outcomes(result),
        turns(result.observation, max_turns),
        reuse(values),
        reuse_gaps(result),
        layout_section(result.run.counters.layout),
        engine_counters(result),
        timing(result),
        calibration(values),
        prices(values, description),
        gap(result),
        agreement(result.observation),
        stages(values),
    ]
    return [section for section in found if section is not None and section.rows]


def asked_for(result: Result, description: RunDescription) -> list[Section]:
    """The tables that a run has only because its config asks for them."""
    values = result.numbers.values
    found = [
        requirements(values, description),
        published(result),
        gap(result),
        agreement(result.observation),
        calibration(values),
        prices(values, description),
    ]
    return [section for section in found if section.rows]


def requirements(values: Mapping[str, float], description: RunDescription) -> Section:
    """The bounds of `require`, each with the run's value."""
    rows = []
    for name, bound in bounds_of(description.config.get("require") or {}).items():
        value = values.get(name)
        met = value is not None and bound.distance(value) <= 0
        rows.append((name, plain(value), str(bound), "yes" if met else "no"))
    return Section("Requirements", ("metric", "value", "required", "met"), rows, left=frozenset({0, 3}))


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


def hit_rates(result: Result) -> Section:
    """Every hit rate with its numerator and denominator."""
    ratios: Mapping[str, Callable[[Observation], Ratio]] = {
        **RATIOS,
        "hit_rate/ideal": ideal,
        "hit_rate/of_ideal": of_ideal,
        "hit_rate/ideal_tokens": ideal_tokens,
        "hit_rate/ideal_steady": ideal_steady,
    }
    rows = []
    for name, ratio_of in ratios.items():
        value = result.numbers.values.get(name)
        ratio = if_measured(ratio_of, result.observation) or Ratio(0, 0)
        sums = f"{_of(ratio)} {_UNITS.get(name, 'tokens')}" if value is not None else _why_absent(name, ratio, result)
        rows.append((name.removeprefix("hit_rate/"), percent(value), sums))
    mean = result.numbers.values.get("hit_rate/per_request_mean")
    rows.insert(
        2, ("per_request_mean", percent(mean), f"mean over {count(len(result.observation.completed))} requests")
    )
    return Section("Hit rates", ("hit_rate/", "value", "hits of all"), rows, left=frozenset({0, 2}))


def capacity(result: Result) -> Section:
    """The cache sizes that are large enough."""
    values, counters = result.numbers.values, result.run.counters
    block_size = result.observation.plain_accesses.block_size
    sizes = (("within 1 point of the ideal (knee)", "capacity/knee"), ("all hits of the ideal", "capacity/enough"))
    rows = [
        (
            label,
            count(blocks),
            count(blocks * block_size),
            plain(gib(result.observation, round(blocks))),
        )
        for label, name in sizes
        if (blocks := values.get(f"{name}_blocks")) is not None
    ]
    notes = []
    if (best := values.get("hit_rate/opt")) is not None:
        usable = count(result.observation.plain_blocks)
        notes.append(f"With this run's {usable} blocks, Belady's optimum hits {percent(best)}.")
    if rows and counters.kv_bytes_per_token is not None:
        notes.append(f"GiB are those of a model with {count(counters.kv_bytes_per_token)} bytes of KV cache per token.")
    title = f"Cache capacity (LRU, by {_RULES[counters.rules]})"
    return Section(title, ("smallest cache with", "blocks", "tokens", "GiB"), rows, " ".join(notes))


def losses(observation: Observation) -> Section:
    """The prompt tokens by the reason why they were or were not found in the cache."""
    if not observation.completed or observation.counters.queries_tokens == 0:  # prefix caching is disabled
        return Section("Prompt tokens by reason", (), ())
    ratios = [(LABELS[term], lost(observation, term)) for term in TERMS]
    if not ratios[0][1].denominator:  # the hits were not measured
        return Section("Prompt tokens by reason", (), ())
    rows = [(label, percent(ratio.value), count(ratio.numerator)) for label, ratio in ratios]
    rows.append(("sum", "100.00 %", count(ratios[0][1].denominator)))
    return Section("Prompt tokens by reason", ("reason", "share", "tokens"), rows)


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
    note = f"Blocks are counted by {_RULES[counters.rules]}."
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


def prices(values: Mapping[str, float], description: RunDescription) -> Section:
    """What the prompts cost, if a price is given."""
    currency = (description.config.get("price") or {}).get("currency", "")
    labels = {
        "prompts": "as run",
        "expired": "of this, for expired blocks",
        "prompts_uncached": "without a prefix cache",
        "prompts_ideal": "with an unlimited cache",
        "per_1000_requests": "as run, per 1,000 requests",
    }
    rows = [
        (label, f"{currency} {money(value)}")
        for name, label in labels.items()
        if (value := values.get(f"price/{name}")) is not None
    ]
    if (saved := values.get("price/saved_share")) is not None:
        rows.append(("saved by the cache", percent(saved)))
    return Section("Price of the prompts (estimated)", ("prompts", "price"), rows)


def _blocks(counters: EngineCounters) -> str:
    several = counters.layout is not None and not counters.layout.is_plain
    return count(counters.num_blocks) + ("" if several else f" x {counters.block_size} tokens")


def _of(ratio: Ratio) -> str:
    return f"{count(ratio.numerator)} of {count(ratio.denominator)}"


def _why_absent(name: str, ratio: Ratio, result: Result) -> str:
    return "its metric group is not in metrics.*" if ratio.denominator else why_absent(name, result)
