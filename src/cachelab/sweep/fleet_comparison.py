"""Compares the routers of a sweep at each number of replicas: table, verdicts with paired intervals, figure. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachelab.report.section import Section, count, decimal, percent
from cachelab.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, blank_figure, legend_outside, plain_ticks
from cachelab.sweep.comparison import Comparison, arm_of, compare
from cachelab.sweep.sweep_job import SweepJob

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUTER, REPLICAS = "fleet/router", "fleet.num_replicas"
BASELINE = "round_robin"
HIT_RATE, IDEAL, IMBALANCE = "hit_rate/first_prefill", "hit_rate/ideal", "fleet/imbalance"
_COLOURS = (BLUE, ORANGE, GREEN, RED, SKY, PURPLE)


@dataclass(frozen=True)
class FleetComparison:
    """The finished jobs by router and number of replicas, and each router compared with round_robin at that number."""

    jobs: Mapping[tuple[str, int], SweepJob]
    comparisons: Mapping[tuple[str, int], Comparison]

    @property
    def routers(self) -> list[str]:
        """The routers, in the order of the jobs."""
        return list(dict.fromkeys(router for router, _ in self.jobs))

    @property
    def sizes(self) -> list[int]:
        """The numbers of replicas, in ascending order."""
        return sorted({size for _, size in self.jobs})

    @property
    def verdicts(self) -> list[str]:
        """One line per comparison."""
        return [self.comparisons[key].verdict for key in sorted(self.comparisons, key=lambda key: key[1])]

    @property
    def section(self) -> Section:
        """One row per job."""
        rows = []
        for size in self.sizes:
            for router in self.routers:
                if (job := self.jobs.get((router, size))) is not None:
                    values = job.values
                    rows.append(
                        (
                            str(size),
                            router,
                            percent(values.get(HIT_RATE)),
                            percent(values.get("losses/routing")),
                            decimal(values.get(IMBALANCE)),
                            percent(values.get("fleet/duplicate_blocks_share")),
                            count(values.get("requests/completed")),
                        )
                    )
        columns = ("replicas", "router", "hit rate", "routing", "imbalance", "duplicate blocks", "requests")
        note = "routing: prompt tokens that another replica held. imbalance: computed tokens, maximum / mean."
        return Section("Routers", columns, rows, note, left=frozenset({1}))


def compare_fleets(jobs: Sequence[SweepJob], tables: Mapping[int, Mapping[str, Sequence[Any]]]) -> FleetComparison:
    """Compare the jobs that name a router and a number of replicas; of several with the same two the last one.

    `tables` maps the numbers of jobs to the columns of requests.parquet.
    """
    found: dict[tuple[str, int], SweepJob] = {}
    for job in jobs:
        name, number = job.settings.get(ROUTER), job.settings.get(REPLICAS, "")
        if job.finished and name is not None and number.isdecimal():
            found[name, int(number)] = job
    comparisons: dict[tuple[str, int], Comparison] = {}
    for (router, size), job in found.items():
        base = found.get((BASELINE, size))
        if base is None or router == BASELINE or size == 1 or not {job.number, base.number} <= tables.keys():
            continue
        arm = arm_of(f"{router} x {size}", tables[job.number])
        comparisons[router, size] = compare(arm, arm_of(f"{BASELINE} x {size}", tables[base.number]))
    return FleetComparison(found, comparisons)


def fleet_figure(found: FleetComparison) -> "Figure | None":
    """Hit rate and imbalance over the number of replicas, one curve per router; None for fewer than two numbers."""
    sizes = found.sizes
    if len(sizes) < 2:
        return None
    figure = blank_figure(6.2)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for index, router in enumerate(found.routers):
        jobs = [(size, found.jobs[router, size].values) for size in sizes if (router, size) in found.jobs]
        style: Any = {"color": _COLOURS[index % len(_COLOURS)], "marker": "o", "markersize": 4}
        for axes, name, scale in ((upper, HIT_RATE, 100), (lower, IMBALANCE, 1)):
            points = [(size, scale * values[name]) for size, values in jobs if name in values]
            axes.plot([size for size, _ in points], [value for _, value in points], label=router, **style)
    ideals = [job.values[IDEAL] for job in found.jobs.values() if IDEAL in job.values]
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
    lower.set_xticks(sizes)
    plain_ticks(lower, "x")
    return figure
