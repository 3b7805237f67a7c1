"""Compares the eviction policies of a sweep at each size. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cachelab.report.section import Section, count, decimal, percent
from cachelab.report.style import COLOURS, GREY, blank_figure, legend_outside, log_ticks
from cachelab.sweep.comparison import HEADLINE
from cachelab.sweep.comparison_by_size import ComparisonBySize, Tables
from cachelab.sweep.sweep_job import SweepJob, swept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICY, BLOCKS, OF_POLICY = "engine/policy", "engine.num_blocks", "engine.policy."
OPT, IDEAL = "hit_rate/opt", "hit_rate/ideal"
PRICE, SAVED = "price/prompts", "price/saved_share"
USABLE = "engine/num_blocks"
"""The metric with the number of usable blocks."""

_UNDER = {"linewidth": 6, "alpha": 0.4}  # policies often hit as much as the baseline: it shows below their curves
_LINES = ("-", "--", "-.")


@dataclass(frozen=True)
class RetentionComparison(ComparisonBySize):
    """The finished jobs by policy and usable blocks, each policy compared with LRU and with the best."""

    ARMS: ClassVar[str] = "Policies"
    ARM: ClassVar[str] = "policy"
    SIZES: ClassVar[str] = "usable blocks"
    BASELINE: ClassVar[str] = "lru"
    FIGURES: ClassVar[Mapping[str, str]] = {
        "policies": "Hit rate of each policy and of Belady's optimum, over the number of usable blocks"
    }

    def numbers(self, values: Mapping[str, float]) -> str:
        return percent(values.get(HEADLINE))

    @property
    def jobs_section(self) -> Section:
        """One row per job. The columns of prices are there if a job has a price."""
        priced = any(PRICE in job.values for job in self.jobs.values())
        rows = [
            (count(size), policy, *_cells(self.jobs[policy, size].values, priced=priced))
            for policy, size in self.by_size
        ]
        columns: tuple[str, ...] = ("usable blocks", "policy", "hit rate", "optimum", "of optimum", "expired")
        note = "optimum: Belady's, with as many blocks. expired: prompt tokens that the cache without expiry hits."
        if priced:
            columns = (*columns, "price", "saved", "for expiry")
            note += " Prices of the prompts are estimated; saved: compared with no cache; for expiry: price/expired."
            if any(PRICE not in job.values for job in self.jobs.values()):
                note += " No price: price.written is by lifetime, and has none for the lifetime of the policy's blocks."
        return Section(self.ARMS, columns, rows, note, left=frozenset({1}))

    def draw(self) -> "dict[str, Figure | None]":
        """The hit rate over the number of blocks, one curve per policy and that of the optimum."""
        if len(self.sizes) < 2:
            return {"policies": None}
        figure = blank_figure(4.6, 8.4)
        axes = figure.subplots()
        best: dict[int, float] = {}
        for index, policy in enumerate(self.arms):
            style: Any = {"color": COLOURS[index % len(COLOURS)], "marker": "o", "markersize": 4, "label": policy}
            style |= _UNDER if policy == self.BASELINE else {"linestyle": _LINES[index % len(_LINES)]}
            axes.plot(*self.curve(policy, HEADLINE, 100), **style)
            best |= dict(zip(*self.curve(policy, OPT, 100), strict=True))
        if best:
            axes.plot(
                sorted(best), [best[size] for size in sorted(best)], color="black", linestyle=":", label="optimum"
            )
        ideals = [job.values[IDEAL] for job in self.jobs.values() if IDEAL in job.values]
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
        return {"policies": figure}


def _cells(values: Mapping[str, float], *, priced: bool) -> tuple[str, ...]:
    hit, best = values.get(HEADLINE), values.get(OPT)
    share = hit / best if hit is not None and best else None
    cells: tuple[str, ...] = (percent(hit), percent(best), percent(share), percent(values.get("losses/expired")))
    if priced:
        cells = (*cells, decimal(values.get(PRICE)), percent(values.get(SAVED)), decimal(values.get("price/expired")))
    return cells


def with_policy(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """The finished jobs that name a policy; [] if the jobs differ in more than policy, its settings and blocks."""
    if not all(key in (POLICY, BLOCKS) or key.startswith(OF_POLICY) for key in swept(jobs)):
        return []
    return [job for job in jobs if job.finished and POLICY in job.settings and USABLE in job.values]


def compare_policies(jobs: Sequence[SweepJob], tables: Tables) -> RetentionComparison | None:
    """Compare the policies at each size. A policy's own settings that differ between the jobs are part of its name.

    None if the jobs do not differ in the policy, or if they also differ in another setting.
    """
    differing = [key for key in swept(jobs) if key.startswith(OF_POLICY)]
    found: dict[tuple[str, int], SweepJob] = {}
    for job in with_policy(jobs):
        own = [f"{key.removeprefix(OF_POLICY)}={job.settings[key]}" for key in differing if key in job.settings]
        found[" ".join([job.settings[POLICY], *own]), int(job.values[USABLE])] = job
    if len({policy for policy, _ in found}) < 2:
        return None
    return RetentionComparison.of(found, tables)
