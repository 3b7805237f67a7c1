"""Compares the eviction policies of a sweep at each size: table, verdicts with paired intervals, figure. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachelab.report.section import Section, count, decimal, percent
from cachelab.report.style import COLOURS, GREY, blank_figure, legend_outside, log_ticks
from cachelab.sweep.comparison import Comparison
from cachelab.sweep.comparison_by_size import Tables, compare_by_size
from cachelab.sweep.sweep_job import SweepJob

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICY = "engine/policy"
BASELINE = "lru"
SIZE, HIT_RATE, OPT, IDEAL = "engine/num_blocks", "hit_rate/first_prefill", "hit_rate/opt", "hit_rate/ideal"
_UNDER = {"linewidth": 6, "alpha": 0.4}  # policies often hit as much as the baseline: it shows below their curves
_LINES = ("-", "--", "-.")
PRICE, SAVED = "price/prompts", "price/saved_share"


@dataclass(frozen=True)
class RetentionComparison:
    """The finished jobs by policy and usable blocks, and each policy compared with LRU at that size."""

    jobs: Mapping[tuple[str, int], SweepJob]
    comparisons: Mapping[tuple[str, int], Comparison]

    @property
    def policies(self) -> list[str]:
        """The policies, in the order of the jobs."""
        return list(dict.fromkeys(policy for policy, _ in self.jobs))

    @property
    def sizes(self) -> list[int]:
        """The numbers of usable blocks, in ascending order."""
        return sorted({size for _, size in self.jobs})

    @property
    def verdicts(self) -> list[str]:
        """One line per comparison."""
        return [self.comparisons[key].verdict for key in sorted(self.comparisons, key=lambda key: key[1])]

    @property
    def section(self) -> Section:
        """One row per job. The columns of prices are there if a job has a price."""
        priced = any(PRICE in job.values for job in self.jobs.values())
        rows = []
        for size in self.sizes:
            for policy in self.policies:
                if (job := self.jobs.get((policy, size))) is not None:
                    rows.append((count(size), policy, *_cells(job.values, priced=priced)))
        columns: tuple[str, ...] = ("blocks", "policy", "hit rate", "optimum", "of optimum", "expired")
        note = "optimum: Belady's, with as many blocks. expired: prompt tokens that the cache without expiry hits."
        if priced:
            columns = (*columns, "price", "saved", "for expiry")
            note += " Prices of the prompts are estimated; saved: compared with no cache; for expiry: price/expired."
        return Section("Policies", columns, rows, note, left=frozenset({1}))


def _cells(values: Mapping[str, float], *, priced: bool) -> tuple[str, ...]:
    hit, best = values.get(HIT_RATE), values.get(OPT)
    share = hit / best if hit is not None and best else None
    cells: tuple[str, ...] = (percent(hit), percent(best), percent(share), percent(values.get("losses/expired")))
    if priced:
        cells = (*cells, decimal(values.get(PRICE)), percent(values.get(SAVED)), decimal(values.get("price/expired")))
    return cells


def compare_policies(jobs: Sequence[SweepJob], tables: Tables) -> RetentionComparison:
    """Compare the jobs that name a policy; of several with the same policy and size the last one.

    A policy's own settings that the sweep sets are part of its name.
    """
    found: dict[tuple[str, int], SweepJob] = {}
    for job in jobs:
        policy, size = job.settings.get(POLICY), job.values.get(SIZE)
        if job.finished and policy is not None and size is not None:
            own = [f"{key.removeprefix('engine.policy.')}={value}" for key, value in job.settings.items() if _own(key)]
            found[" ".join([policy, *own]), int(size)] = job
    comparisons = compare_by_size(found, tables, BASELINE, lambda policy, size: f"{policy} at {size:,} blocks")
    return RetentionComparison(found, comparisons)


def _own(key: str) -> bool:
    return key.startswith("engine.policy.")


def retention_figure(found: RetentionComparison) -> "Figure | None":
    """The hit rate over the number of blocks, one curve per policy and that of the optimum; None for one size."""
    sizes = found.sizes
    if len(sizes) < 2:
        return None
    figure = blank_figure(4.6, 8.4)
    axes = figure.subplots()
    for index, policy in enumerate(found.policies):
        points = _points(found, policy, HIT_RATE)
        style: Any = {"color": COLOURS[index % len(COLOURS)], "marker": "o", "markersize": 4, "label": policy}
        style |= _UNDER if policy == BASELINE else {"linestyle": _LINES[index % len(_LINES)]}
        axes.plot([size for size, _ in points], [rate for _, rate in points], **style)
    best = {size: rate for policy in found.policies for size, rate in _points(found, policy, OPT)}
    if best:
        axes.plot(sorted(best), [best[size] for size in sorted(best)], color="black", linestyle=":", label="optimum")
    ideals = [job.values[IDEAL] for job in found.jobs.values() if IDEAL in job.values]
    if ideals:
        axes.axhline(100 * max(ideals), color=GREY, linestyle="--", label="unlimited cache")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("block hit rate (%)")
    axes.set_xlabel("usable blocks, log scale")
    axes.set_title("Policies by cache size")
    axes.set_xscale("log")
    log_ticks(axes, "x", *axes.get_xlim())
    axes.grid(alpha=0.25)
    legend_outside(axes, 8)
    return figure


def _points(found: RetentionComparison, policy: str, metric: str) -> list[tuple[int, float]]:
    """Sizes in ascending order, and the metric in percent."""
    jobs = [(size, found.jobs[policy, size]) for size in found.sizes if (policy, size) in found.jobs]
    return [(size, 100 * job.values[metric]) for size, job in jobs if metric in job.values]
