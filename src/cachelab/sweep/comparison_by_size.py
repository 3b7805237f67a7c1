"""Compares the arms of a sweep at each size: verdicts and tables. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cachelab.report.section import ABSENT, Section, points
from cachelab.sweep.comparison import ALL_TIERS, CONFIDENCE, HEADLINE, Arm, Comparison, Drawn, arm_of, compare
from cachelab.sweep.sweep_job import SweepJob

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tables = Mapping[int, Mapping[str, Sequence[Any]]]
"""The columns of requests.parquet by number of job."""

ArmAndSize = tuple[str, int]

_OF_VERDICT = (HEADLINE, ALL_TIERS)  # an interval takes seconds with 10,000 conversations
_INTERVAL = f"{100 * CONFIDENCE:g} % interval"


@dataclass(frozen=True)
class ComparisonBySize(ABC):
    """The finished jobs of a sweep by arm and size.

    `comparisons`: each arm compared with the baseline at the same size. `best`: at each size, the arm with the highest
    hit rate compared with each other one.
    """

    ARMS: ClassVar[str]
    """The title of the table of jobs: what the arms are, in the plural."""
    ARM: ClassVar[str]
    SIZES: ClassVar[str]
    """What the sizes count."""
    BASELINE: ClassVar[str]
    FIGURES: ClassVar[Mapping[str, str]]
    """The name of the figure -> its caption."""

    jobs: Mapping[ArmAndSize, SweepJob]
    comparisons: Mapping[ArmAndSize, Comparison]
    best: Mapping[int, Mapping[str, Comparison]]

    @classmethod
    def of(cls, jobs: Mapping[ArmAndSize, SweepJob], tables: Tables) -> Self:
        """Compare the jobs that have a table."""
        arms = {
            (arm, size): arm_of(f"{arm} x {size:,}", tables[job.number])
            for (arm, size), job in jobs.items()
            if job.number in tables
        }
        drawn: Drawn = {}
        comparisons = {
            (arm, size): _compared(of, arms[cls.BASELINE, size], drawn)
            for (arm, size), of in arms.items()
            if arm != cls.BASELINE and (cls.BASELINE, size) in arms
        }
        best: dict[int, Mapping[str, Comparison]] = {}
        for size in {size for _, size in arms}:
            first = _best(jobs, size)
            others = [arm for arm, of in arms if of == size and arm != first]
            if others and (first, size) in arms:
                best[size] = {arm: _compared(arms[first, size], arms[arm, size], drawn) for arm in others}
        return cls(jobs, comparisons, best)

    @property
    def arms(self) -> list[str]:
        """The arms, in the order of the jobs."""
        return list(dict.fromkeys(arm for arm, _ in self.jobs))

    @property
    def sizes(self) -> list[int]:
        """The sizes, in ascending order."""
        return sorted({size for _, size in self.jobs})

    @property
    def verdicts(self) -> list[str]:
        """One line per size: the arm with the highest hit rate, and those from which no difference is shown."""
        return [self._verdict(size) for size in sorted(self.best)]

    @property
    def sections(self) -> list[Section]:
        """One row per job, and one per comparison with the baseline."""
        return [section for section in (self.jobs_section, self._against_section) if section.rows]

    @property
    @abstractmethod
    def jobs_section(self) -> Section:
        """One row per job."""

    @abstractmethod
    def draw(self) -> "dict[str, Figure | None]":
        """The figures of FIGURES; None for fewer than two sizes."""

    @abstractmethod
    def numbers(self, values: Mapping[str, float]) -> str:
        """The numbers of a job in a verdict."""

    @property
    def by_size(self) -> list[ArmAndSize]:
        """The jobs by size, at each size in their own order."""
        return sorted(self.jobs, key=lambda key: key[1])

    def curve(self, arm: str, metric: str, scale: float = 1) -> tuple[list[int], list[float]]:
        """The sizes at which an arm has the metric, in ascending order, and `scale` x the metric."""
        values = [(size, self.jobs[arm, size].values) for size in self.sizes if (arm, size) in self.jobs]
        found = [(size, scale * of[metric]) for size, of in values if metric in of]
        return [size for size, _ in found], [value for _, value in found]

    def _verdict(self, size: int) -> str:
        best = _best(self.jobs, size)
        others = self.best[size]
        line = f"{size:,} {self.SIZES}: {best} has the highest hit rate, {self.numbers(self.jobs[best, size].values)}"
        verdicts = {arm: None if of.headline is None else of.headline.verdict for arm, of in others.items()}
        if unknown := [arm for arm, verdict in verdicts.items() if verdict in (None, "no interval")]:
            return f"{line}; no interval without two conversations in common ({', '.join(unknown)})"
        if equal := [arm for arm, verdict in verdicts.items() if verdict != "higher"]:
            also = ", ".join(f"{arm} ({self.numbers(self.jobs[arm, size].values)})" for arm in equal)
            return f"{line}; no difference shown from {also}"
        second = max(others, key=lambda arm: self.jobs[arm, size].values[HEADLINE])
        headline = others[second].headline
        assert headline is not None
        difference = f"{100 * headline.difference:+.2f} points from {second}, the next one"
        return f"{line}; {difference} ({others[second].basis})"

    @property
    def _against_section(self) -> Section:
        rows = []
        paired: set[int] = set()
        for arm, size in self.by_size:
            found = self.comparisons.get((arm, size))
            if found is None or (headline := found.headline) is None:
                continue
            low, high = headline.low, headline.high
            interval = ABSENT if low is None or high is None else f"{points(100 * low)} to {points(100 * high)}"
            rows.append((f"{size:,}", arm, points(100 * headline.difference), interval, headline.verdict))
            paired.add(found.num_conversations)
        columns = (self.SIZES, self.ARM, "points", _INTERVAL, "verdict")
        number = " to ".join(f"{n:,}" for n in sorted({min(paired), max(paired)})) if paired else "0"
        note = f"Hit rates, paired by conversation ({number}) at the same number of {self.SIZES}."
        return Section(f"{self.ARMS} compared with {self.BASELINE}", columns, rows, note, left=frozenset({1, 4}))


def _compared(arm: Arm, baseline: Arm, drawn: Drawn) -> Comparison:
    return compare(arm, baseline, rates=_OF_VERDICT, drawn=drawn)


def _best(jobs: Mapping[ArmAndSize, SweepJob], size: int) -> str:
    """The arm with the highest hit rate; of equal ones the first."""
    rates = {arm: job.values.get(HEADLINE, 0.0) for (arm, of), job in jobs.items() if of == size}
    return max(rates, key=rates.__getitem__)
