"""The tables of a comparison: hit rates, block hits and reuse gaps per job, and the differences."""

from collections.abc import Mapping, Sequence

from cachelab.report.section import ABSENT, Section, count, decimal, percent, plain, seconds
from cachelab.sweep.comparison import CONFIDENCE, DRAWS, HEADLINE, Comparison, Difference
from cachelab.sweep.sweep_job import SweepJob

_INTERVAL = f"{100 * CONFIDENCE:g} % interval"
_METHOD = f"Paired by conversation; {_INTERVAL}s are percentiles of {DRAWS:,} bootstrap draws of conversations."
_LONG_NAME = 16
_HIT_RATES = (
    "first_prefill",
    "first_prefill_tokens",
    "per_request_mean",
    "steady",
    "later_turns",
    "vllm_gpu",
    "vllm_gpu_all_prefills",
)
_MORE_RATES = ("vllm_cpu", "first_prefill_host", "first_prefill_all_tiers", "ideal", "of_ideal")
_BLOCKS = {
    "requests/submitted": "requests submitted",
    "requests/completed": "requests completed",
    "requests/rejected": "requests rejected",
    "blocks/total": "full prompt blocks",
    "blocks/hit": "hit blocks",
    "blocks/reused_distinct": "distinct blocks hit (cache blocks used)",
    "blocks/hits_per_block_mean": "hits per block, mean",
    "blocks/hits_per_block_max": "hits per block, max",
    "blocks/reuses": "hits after a block's first (reuses)",
    "engine/steps": "engine steps",
}
_GAPS = {
    "reuse_gap/mean_s": "mean, s",
    "reuse_gap/min_s": "min, s",
    "reuse_gap/max_s": "max, s",
    "reuse_gap/mean_requests": "mean, requests",
    "reuse_gap/min_requests": "min, requests",
    "reuse_gap/max_requests": "max, requests",
}


def comparison_sections(
    jobs: Sequence[SweepJob], names: Sequence[str], comparisons: Sequence[Comparison]
) -> list[Section]:
    """Three tables with one column per job, then the differences from the baseline."""
    if len(jobs) > 2 and max(map(len, names)) > _LONG_NAME:
        names = [f"#{job.number}" for job in jobs]
    against = [differences(comparisons[0])] if len(comparisons) == 1 else [headlines(comparisons)]
    rates = [(f"hit_rate/{name}", name) for name in (*_HIT_RATES, *_MORE_RATES)]
    return [
        _per_job("Hit rates", "hit_rate/", rates, jobs, names),
        _per_job("Requests and block hits", "count", list(_BLOCKS.items()), jobs, names),
        _per_job(
            "Gap between hits of a block",
            "gap",
            list(_GAPS.items()),
            jobs,
            names,
            "Seconds are the engine's clock (simulated for engine=sim and engine=replay).",
        ),
        *(section for section in against if section.rows),
    ]


def headlines(comparisons: Sequence[Comparison]) -> Section:
    """The headline rate of each job compared with the baseline."""
    found = [(comparison, comparison.headline) for comparison in comparisons]
    rows = [(comparison.arm, *_row(difference)) for comparison, difference in found if difference is not None]
    rate = next((difference.metric for _, difference in found if difference is not None), HEADLINE)
    rate = rate.removeprefix("hit_rate/")
    title = f"{rate} against {comparisons[0].baseline}" if comparisons else rate
    columns = ("job", "rate", "baseline", "points", _INTERVAL, "ratio", "verdict")
    return Section(title, columns, rows, _METHOD, frozenset({0, 6}))


def differences(comparison: Comparison) -> Section:
    """Every rate over the common conversations, with its difference, interval and ratio."""
    rows = [(name.removeprefix("hit_rate/"), *_row(difference)) for name, difference in comparison.differences.items()]
    only = [
        f"{number:,} completed by {name} only"
        for number, name in (
            (comparison.only_in_arm, comparison.arm),
            (comparison.only_in_baseline, comparison.baseline),
        )
        if number
    ]
    left_out = f" Excluded: {', '.join(only)}." if only else ""
    note = f"{comparison.num_conversations:,} conversations that both runs completed.{left_out} {_METHOD}"
    columns = ("hit_rate/", comparison.arm, comparison.baseline, "points", _INTERVAL, "ratio", "verdict")
    return Section(f"{comparison.arm} against {comparison.baseline}", columns, rows, note, frozenset({0, 6}))


def _row(difference: Difference) -> tuple[str, ...]:
    low, high = difference.low, difference.high
    return (
        percent(difference.arm),
        percent(difference.baseline),
        f"{100 * difference.difference:+.2f}",
        ABSENT if low is None or high is None else f"{100 * low:+.2f} to {100 * high:+.2f}",
        ABSENT if difference.ratio is None else f"{difference.ratio:.2f}x",
        difference.verdict,
    )


def _per_job(
    title: str,
    first: str,
    metrics: Sequence[tuple[str, str]],
    jobs: Sequence[SweepJob],
    names: Sequence[str],
    note: str = "",
) -> Section:
    rows = []
    for metric, label in metrics:
        cells = [_cell(metric, job.values) for job in jobs]
        if any(cell != ABSENT for cell in cells):
            rows.append((label, *cells))
    return Section(title, (first, *names), rows, note)


def _cell(metric: str, values: Mapping[str, float]) -> str:
    value = values.get(metric)
    if metric.startswith("hit_rate/"):
        return percent(value)
    if metric.startswith("reuse_gap/"):
        return seconds(value) if metric.endswith("_s") else plain(value)
    return decimal(value) if metric.endswith("_mean") else count(value)
