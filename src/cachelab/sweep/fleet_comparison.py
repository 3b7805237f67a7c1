"""Compares the routers of a sweep at each number of replicas. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cachelab.report.section import Section, decimal, percent, seconds
from cachelab.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, blank_figure, legend_outside, plain_ticks
from cachelab.sweep.comparison import HEADLINE
from cachelab.sweep.comparison_by_size import ComparisonBySize, Tables
from cachelab.sweep.sweep_job import SweepJob, swept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUTER, REPLICAS = "fleet/router", "fleet.num_replicas"
IDEAL, IMBALANCE = "hit_rate/ideal", "fleet/imbalance"

_COLOURS = (BLUE, ORANGE, GREEN, RED, SKY, PURPLE)


@dataclass(frozen=True)
class FleetComparison(ComparisonBySize):
    """The finished jobs by router and number of replicas, each router compared with round_robin and with the best."""

    ARMS: ClassVar[str] = "Routers"
    ARM: ClassVar[str] = "router"
    SIZES: ClassVar[str] = "replicas"
    BASELINE: ClassVar[str] = "round_robin"
    FIGURES: ClassVar[Mapping[str, str]] = {
        "routers": "Hit rate and imbalance of each router, over the number of replicas"
    }

    def numbers(self, values: Mapping[str, float]) -> str:
        return f"{percent(values.get(HEADLINE))}, imbalance {decimal(values.get(IMBALANCE))}"

    @property
    def jobs_section(self) -> Section:
        """One row per job."""
        rows = []
        for router, size in self.by_size:
            values = self.jobs[router, size].values
            rows.append(
                (
                    str(size),
                    router,
                    percent(values.get(HEADLINE)),
                    percent(values.get("losses/routing")),
                    decimal(values.get(IMBALANCE)),
                    percent(values.get("fleet/duplicate_blocks_share")),
                    seconds(values.get("latency/ttft_mean_s")),
                )
            )
        columns = ("replicas", "router", "hit rate", "routing", "imbalance", "duplicate blocks", "TTFT, s")
        note = (
            "routing: prompt tokens that another replica held. imbalance: computed tokens, maximum / mean. "
            "TTFT: mean, on the simulated clock."
        )
        return Section(self.ARMS, columns, rows, note, left=frozenset({1}))

    def draw(self) -> "dict[str, Figure | None]":
        """Hit rate and imbalance over the number of replicas, one curve per router."""
        if len(self.sizes) < 2:
            return {"routers": None}
        figure = blank_figure(6.2)
        upper, lower = figure.subplots(2, 1, sharex=True)
        for index, router in enumerate(self.arms):
            style: Any = {"color": _COLOURS[index % len(_COLOURS)], "marker": "o", "markersize": 4, "label": router}
            upper.plot(*self.curve(router, HEADLINE, 100), **style)
            lower.plot(*self.curve(router, IMBALANCE), **style)
        ideals = [job.values[IDEAL] for job in self.jobs.values() if IDEAL in job.values]
        if ideals:
            upper.axhline(100 * max(ideals), color=GREY, linestyle="--", label="one unlimited cache")
        upper.set_ylim(bottom=0)
        upper.set_ylabel("block hit rate (%)")
        upper.set_title("Routers by number of replicas")
        legend_outside(upper)
        lower.set_ylim(bottom=0.9)
        lower.set_ylabel("computed tokens,\nmaximum / mean")
        lower.set_xlabel("replicas")
        lower.set_xscale("log")
        lower.set_xticks(self.sizes)
        lower.minorticks_off()
        plain_ticks(lower, "x")
        return {"routers": figure}


def routed(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """The finished jobs that name a router and a number of replicas; [] if the jobs also differ in another setting."""
    if not swept(jobs).keys() <= {ROUTER, REPLICAS}:
        return []
    return [
        job for job in jobs if job.finished and ROUTER in job.settings and job.settings.get(REPLICAS, "").isdecimal()
    ]


def compare_fleets(jobs: Sequence[SweepJob], tables: Tables) -> FleetComparison | None:
    """Compare the routers at each number of replicas above 1: one replica gets all requests from every router.

    None if the jobs do not differ in the router, or if they also differ in another setting.
    """
    found = {(job.settings[ROUTER], int(job.settings[REPLICAS])): job for job in routed(jobs)}
    if len({router for router, _ in found}) < 2:
        return None
    several = {job.number: tables[job.number] for (_, size), job in found.items() if size > 1 and job.number in tables}
    return FleetComparison.of(found, several)
