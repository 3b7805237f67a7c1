"""The tables of hits: every hit rate, the prompt tokens by reason, and the cache sizes that are large enough."""

from collections.abc import Callable, Mapping

from cachelab.metrics.base import Ratio
from cachelab.metrics.capacity import gib
from cachelab.metrics.hit_rate import RATIOS
from cachelab.metrics.ideal import ideal, ideal_steady, ideal_tokens, of_ideal
from cachelab.metrics.losses import TERMS, lost
from cachelab.metrics.observation import Observation, if_measured
from cachelab.pipeline import Result
from cachelab.report.absence import why_absent
from cachelab.report.engine_sections import RULES
from cachelab.report.losses_figure import LABELS
from cachelab.report.section import Section, count, percent, plain, sums

_UNITS = {
    f"hit_rate/{name}": "blocks"
    for name in ("first_prefill", "first_prefill_host", "first_prefill_all_tiers", "ideal", "of_ideal")
}


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
        hits = f"{sums(ratio)} {_UNITS.get(name, 'tokens')}" if value is not None else _why_absent(name, ratio, result)
        rows.append((name.removeprefix("hit_rate/"), percent(value), hits))
    mean = result.numbers.values.get("hit_rate/per_request_mean")
    rows.insert(
        2, ("per_request_mean", percent(mean), f"mean over {count(len(result.observation.completed))} requests")
    )
    return Section("Hit rates", ("hit_rate/", "value", "hits of all"), rows, left=frozenset({0, 2}))


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
    title = f"Cache capacity (LRU, by {RULES[counters.rules]})"
    return Section(title, ("smallest cache with", "blocks", "tokens", "GiB"), rows, " ".join(notes))


def _why_absent(name: str, ratio: Ratio, result: Result) -> str:
    return "its metric group is not in metrics.*" if ratio.denominator else why_absent(name, result)
