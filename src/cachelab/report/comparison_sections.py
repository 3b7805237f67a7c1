"""A comparison in tables: the guide's three (hit rates, block hits, reuse gaps), and the differences."""

from collections.abc import Mapping, Sequence

from cachelab.report.comparison import CONFIDENCE, DRAWS, Comparison
from cachelab.report.section import ABSENT, Section, count, decimal, percent, plain, seconds
from cachelab.tracking.sweep_job import SweepJob

_HIT_RATES = (
    "first_prefill",
    "first_prefill_tokens",
    "per_request_mean",
    "steady",
    "vllm_gpu",
    "vllm_gpu_all_prefills",
)
_MORE_RATES = ("vllm_cpu", "ideal", "of_ideal")
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
    """The guide's three tables with a column for each job, then each comparison's differences."""
    rates = [(f"hit_rate/{name}", name) for name in (*_HIT_RATES, *_MORE_RATES)]
    return [
        _beside("Hit rates", "hit_rate/", rates, jobs, names),
        _beside("Requests and block hits", "count", list(_BLOCKS.items()), jobs, names),
        _beside(
            "Gap between hits of a block",
            "gap",
            list(_GAPS.items()),
            jobs,
            names,
            "Seconds are the engine's clock (simulated for engine=sim).",
        ),
        *(differences(comparison) for comparison in comparisons if comparison.differences),
    ]


def differences(comparison: Comparison) -> Section:
    """Every rate of the common conversations with its difference, the interval and the ratio."""
    rows = []
    for difference in comparison.differences.values():
        known = difference.low is not None and difference.high is not None
        span = f"{100 * difference.low:+.2f} to {100 * difference.high:+.2f}" if known else ABSENT  # type: ignore[operator]
        rows.append(
            (
                difference.metric.removeprefix("hit_rate/"),
                percent(difference.arm),
                percent(difference.baseline),
                f"{100 * difference.difference:+.2f}",
                span,
                ABSENT if difference.ratio is None else f"{difference.ratio:.2f}x",
                difference.verdict,
            )
        )
    only = [
        f"{number:,} only {name} completed"
        for number, name in (
            (comparison.only_in_arm, comparison.arm),
            (comparison.only_in_baseline, comparison.baseline),
        )
        if number
    ]
    left_out = f" Left out: {', '.join(only)}." if only else ""
    note = (
        f"Paired by conversation, {comparison.num_conversations:,} that both arms completed.{left_out} "
        f"{100 * CONFIDENCE:g} % percentile intervals of {DRAWS:,} bootstrap draws of conversations."
    )
    interval = f"{100 * CONFIDENCE:g} % interval"
    columns = ("hit_rate/", comparison.arm, comparison.baseline, "points", interval, "ratio", "verdict")
    return Section(f"{comparison.arm} against {comparison.baseline}", columns, rows, note, frozenset({0, 6}))


def _beside(
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
