"""Compares the routers of a sweep at each number of replicas: table, verdicts with paired intervals, figure. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachelab.report.section import ABSENT, Section, decimal, percent, points, seconds
from cachelab.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, blank_figure, legend_outside, plain_ticks
from cachelab.sweep.comparison import Comparison, arm_of, compare
from cachelab.sweep.sweep_job import SweepJob, swept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUTER, REPLICAS = "fleet/router", "fleet.num_replicas"
BASELINE = "round_robin"
HIT_RATE, IDEAL, IMBALANCE = "hit_rate/first_prefill", "hit_rate/ideal", "fleet/imbalance"
FLEET_FIGURES: Mapping[str, str] = {"routers": "Hit rate and imbalance of each router, over the number of replicas"}
"""Name of a figure -> its caption."""

_COLOURS = (BLUE, ORANGE, GREEN, RED, SKY, PURPLE)


Tables = Mapping[int, Mapping[str, Sequence[Any]]]


@dataclass(frozen=True)
class FleetComparison:
    """The finished jobs by router and number of replicas.

    `comparisons`: each router compared with round_robin at the same number of replicas. `best`: at each number, the
    router with the highest hit rate compared with each other one.
    """

    jobs: Mapping[tuple[str, int], SweepJob]
    comparisons: Mapping[tuple[str, int], Comparison]
    best: Mapping[int, Mapping[str, Comparison]]

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
        """One line per number of replicas: the router with the highest hit rate, and those as good as it."""
        return [self._verdict(size) for size in sorted(self.best)]

    def _verdict(self, size: int) -> str:
        best = _best(self.jobs, size)
        others = self.best[size]
        equal = [router for router, against in others.items() if not _is_higher(against)]
        line = f"{size} replicas: {best} has the highest hit rate, {self._numbers(best, size)}"
        if equal:
            also = ", ".join(f"{router} ({self._numbers(router, size)})" for router in equal)
            return f"{line}; no difference shown from {also}"
        second = max(others, key=lambda router: self.jobs[router, size].values[HIT_RATE])
        headline = others[second].headline
        assert headline is not None
        interval = f"95 % interval {100 * (headline.low or 0):+.2f} to {100 * (headline.high or 0):+.2f}"
        return f"{line}; {100 * headline.difference:+.2f} points from {second}, the next one ({interval})"

    def _numbers(self, router: str, size: int) -> str:
        values = self.jobs[router, size].values
        return f"{percent(values.get(HIT_RATE))}, imbalance {decimal(values.get(IMBALANCE))}"

    @property
    def sections(self) -> list[Section]:
        """One row per job, and one per comparison with round_robin."""
        return [section for section in (self._jobs_section, self._against_section) if section.rows]

    @property
    def _jobs_section(self) -> Section:
        rows = []
        for router, size in self._keys:
            values = self.jobs[router, size].values
            rows.append(
                (
                    str(size),
                    router,
                    percent(values.get(HIT_RATE)),
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
        return Section("Routers", columns, rows, note, left=frozenset({1}))

    @property
    def _against_section(self) -> Section:
        rows = []
        for router, size in self._keys:
            found = self.comparisons.get((router, size))
            if found is None or (headline := found.headline) is None:
                continue
            low, high = headline.low, headline.high
            interval = ABSENT if low is None or high is None else f"{points(100 * low)} to {points(100 * high)}"
            rows.append((str(size), router, points(100 * headline.difference), interval, headline.verdict))
        columns = ("replicas", "router", "points", "95 % interval", "verdict")
        note = "Hit rates, paired by conversation at the same number of replicas."
        return Section("Routers compared with round_robin", columns, rows, note, left=frozenset({1, 4}))

    @property
    def _keys(self) -> list[tuple[str, int]]:
        """The jobs by number of replicas, then in their own order."""
        return sorted(self.jobs, key=lambda key: key[1])


def routed(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """The finished jobs that name a router and a number of replicas; [] if the jobs also differ in another setting."""
    if not swept(jobs).keys() <= {ROUTER, REPLICAS}:
        return []
    return [
        job for job in jobs if job.finished and ROUTER in job.settings and job.settings.get(REPLICAS, "").isdecimal()
    ]


def compare_fleets(jobs: Sequence[SweepJob], tables: Tables) -> FleetComparison | None:
    """Compare the routers at each number of replicas above 1.

    None if the jobs do not differ in the router, or if they also differ in another setting.
    `tables` maps the numbers of jobs to the columns of requests.parquet.
    """
    found = {(job.settings[ROUTER], int(job.settings[REPLICAS])): job for job in routed(jobs)}
    if len({router for router, _ in found}) < 2:
        return None
    arms = {
        key: arm_of(f"{key[0]} x {key[1]}", tables[job.number])
        for key, job in found.items()
        if key[1] > 1 and job.number in tables
    }
    comparisons = {
        (router, size): compare(arm, arms[BASELINE, size])
        for (router, size), arm in arms.items()
        if router != BASELINE and (BASELINE, size) in arms
    }
    best: dict[int, Mapping[str, Comparison]] = {}
    for size in {size for _, size in arms}:
        first = _best(found, size)
        if (first, size) in arms:
            others = [router for router, of in arms if of == size and router != first]
            against = {router: compare(arms[first, size], arms[router, size]) for router in others}
            if against:
                best[size] = against
    return FleetComparison(found, comparisons, best)


def _best(jobs: Mapping[tuple[str, int], SweepJob], size: int) -> str:
    """The router with the highest hit rate; of equal ones the first."""
    rates = {router: job.values.get(HIT_RATE, 0.0) for (router, of), job in jobs.items() if of == size}
    return max(rates, key=rates.__getitem__)


def _is_higher(comparison: Comparison) -> bool:
    headline = comparison.headline
    return headline is not None and headline.verdict == "higher"


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
    lower.minorticks_off()
    plain_ticks(lower, "x")
    return figure
