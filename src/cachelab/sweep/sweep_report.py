"""The report of a finished sweep: tables, comparison and figures in one folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachelab.atomic import atomic_folder
from cachelab.errors import ConfigError
from cachelab.report.section import Section
from cachelab.report.style import save
from cachelab.report.summary import table as markdown
from cachelab.sweep.comparison import HEADLINE, RATES, Comparison, arm_of, compare
from cachelab.sweep.comparison_by_size import ComparisonBySize
from cachelab.sweep.comparison_sections import comparison_sections, differences
from cachelab.sweep.requirement_lines import unmet_lines
from cachelab.sweep.study_report import StudyReport
from cachelab.sweep.sweep_figures import SWEEP_FIGURES, draw_sweep
from cachelab.sweep.sweep_job import SweepJob, labels, named
from cachelab.sweep.sweep_page import sweep_page
from cachelab.sweep.sweep_table import job_table, jobs_section, outcome_line, write_job_table

MAX_ARMS = 16
"""The most jobs that are compared. With more jobs a baseline must be named; the latest jobs are compared with it."""


_MAX_VERDICTS = 3  # more are shown in a table only


@dataclass(frozen=True)
class SweepReport:
    """A finished sweep; `comparisons` compare each job with the baseline.

    `unmet` has one line per bound of `require` that a job does not meet; `required`: whether there are bounds.
    `headline`: the hit rate of the verdicts and figures. `by_size`: routers or policies at each size, if the
    jobs differ in them.
    """

    name: str
    jobs: Sequence[SweepJob]
    comparisons: Sequence[Comparison]
    sections: Sequence[Section]
    study: StudyReport | None = None
    notes: Sequence[str] = ()
    unmet: Sequence[str] = ()
    required: bool = False
    headline: str = HEADLINE
    by_size: ComparisonBySize | None = None

    @property
    def headlines(self) -> list[str]:
        """The results as single lines, the verdicts first."""
        verdicts = [comparison.verdict for comparison in self.comparisons[:_MAX_VERDICTS]]
        if self.by_size:
            verdicts = [*self.by_size.verdicts, *verdicts]
        return [*verdicts, *(self.study.headlines if self.study else []), outcome_line(self.jobs), *self.notes]

    @property
    def numbers(self) -> dict[str, float]:
        """The metrics of the sweep's run: numbers of jobs, and the headline's difference if two jobs were compared."""
        found: dict[str, float] = {}
        if len(self.comparisons) == 1 and (headline := self.comparisons[0].differences.get(self.headline)):
            found["comparison/difference"] = headline.difference
            if headline.low is not None and headline.high is not None:
                found |= {"comparison/difference_low": headline.low, "comparison/difference_high": headline.high}
        return (
            found
            | (self.study.best_values if self.study else {})
            | {
                "sweep/jobs": float(len(self.jobs)),
                "sweep/finished": float(sum(job.finished for job in self.jobs)),
                "sweep/failed": float(sum(job.status == "FAILED" for job in self.jobs)),
            }
        )


def compared(
    jobs: Sequence[SweepJob], baseline: str | None, *, searching: bool
) -> tuple[list[SweepJob], SweepJob | None]:
    """The jobs to compare, and the baseline; ([], None) if there is nothing to compare.

    The baseline is the finished job that `baseline` names, or else the last finished job. The trials of a search
    (`searching`) are compared only if a baseline is named. Raises ConfigError if it does not name exactly one job.
    """
    finished = [job for job in jobs if job.finished]
    if baseline is None:
        arms = [] if searching or len(finished) > MAX_ARMS or len(finished) < 2 else finished
        return arms, arms[-1] if arms else None
    found = named(finished, baseline)
    if len(found) != 1:
        what = "no finished job" if not found else f"{len(found)} finished jobs"
        raise ConfigError(
            f"comparison.baseline={baseline}: names {what}: give overrides that only one job has "
            f"({', '.join(labels(finished)[:4])}), or its number as '#0'"
        )
    others = [job for job in finished if job.number != found[0].number]
    return [*others[-MAX_ARMS + 1 :], found[0]], found[0]


def report_sweep(
    name: str,
    jobs: Sequence[SweepJob],
    arms: Sequence[SweepJob],
    baseline: SweepJob | None,
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    objectives: Sequence[str],
    study: StudyReport | None = None,
    notes: Sequence[str] = (),
    require: Mapping[str, str] | None = None,
    by_size: ComparisonBySize | None = None,
) -> SweepReport:
    """Compare the jobs `arms` with the baseline, and check the bounds of `require`. Pure.

    `tables` maps labels to the columns of requests.parquet. The verdicts and figures are about the first objective if
    it is a hit rate of RATES, else about HEADLINE.
    """
    headline = objectives[0] if objectives and objectives[0] in RATES else HEADLINE
    label_of = dict(zip((job.number for job in jobs), labels(jobs), strict=True))
    comparisons: list[Comparison] = []
    if baseline is not None and label_of[baseline.number] in tables:
        other = arm_of(label_of[baseline.number], tables[label_of[baseline.number]])
        for job in arms:
            label = label_of[job.number]
            if job.number != baseline.number and label in tables:
                comparisons.append(compare(arm_of(label, tables[label]), other, metric=headline))
    compared_sections = comparison_sections(arms, [label_of[job.number] for job in arms], comparisons) if arms else []
    sections = [
        *(by_size.sections if by_size else []),
        jobs_section(jobs, objectives),
        *(study.sections if study else []),
        *compared_sections,
    ]
    unmet = unmet_lines(jobs, require or {}, None if study is None else study.best)
    required = any(job.require for job in jobs) or bool(require)
    return SweepReport(name, jobs, comparisons, sections, study, notes, unmet, required, headline, by_size)


def write_sweep(
    report: SweepReport, folder: Path, tables: Mapping[str, Mapping[str, Sequence[Any]]], command: str
) -> Path:
    """Write the tables, comparison.md, report.html and figures/*.png and *.svg into the folder, which is replaced.

    `command` starts the sweep again. The folder appears at once or not at all. Raises StorageError if the disk is full.
    """
    with atomic_folder(folder, "write elsewhere with hydra.sweep.dir=FOLDER") as part:
        _write(part, report, tables, command)
    return folder


def _write(folder: Path, report: SweepReport, tables: Mapping[str, Mapping[str, Sequence[Any]]], command: str) -> None:
    (folder / "figures").mkdir()
    write_job_table(folder, job_table(report.jobs))
    figures = draw_sweep(report.jobs, tables, report.comparisons, report.headline)
    if report.by_size is not None:
        by_size = report.by_size.draw()
        if any(by_size.values()):
            del figures["hit_rate"]  # it would show the same curves again
        figures = by_size | figures
    if report.study is not None:
        figures |= report.study.draw()
        report.study.write(folder)
    for name, figure in figures.items():
        if figure is not None:
            save(figure, folder / "figures", name)
    what = {
        **(report.by_size.FIGURES if report.by_size else {}),
        **SWEEP_FIGURES,
        **(report.study.FIGURES if report.study else {}),
    }
    captions = {name: what[name] for name, figure in figures.items() if figure is not None}
    (folder / "comparison.md").write_text(comparison_text(report, captions), encoding="utf-8")
    (folder / "report.html").write_text(sweep_page(report, folder / "figures", captions, command), encoding="utf-8")


def comparison_text(report: SweepReport, figures: Mapping[str, str] | None = None) -> str:
    """The text of comparison.md: verdicts, tables and the list of figures, each with what it shows."""
    parts = [f"# {report.name}", *(f"**{line}**" for line in report.headlines[:MAX_ARMS]), *_unmet(report)]
    parts += [markdown(section) for section in report.sections]
    if len(report.comparisons) > 1:
        parts += [markdown(differences(comparison)) for comparison in report.comparisons if comparison.differences]
    if figures:
        parts.append(
            "\n".join(["## Figures", "", *(f"- `figures/{name}.png`: {what}" for name, what in figures.items())])
        )
    return "\n\n".join(parts) + "\n"


def note_text(report: SweepReport) -> str:
    """The text of the page of the sweep's run: verdicts, differences, jobs; comparison.md has the rest."""
    first = (report.by_size.ARMS if report.by_size else "", "Jobs", "Best trials", "Hit rates")
    tables = [section for section in report.sections if section.title in first or " against " in section.title]
    tables.sort(key=lambda section: section.title in first)
    headlines = [f"**{line}**" for line in report.headlines[:MAX_ARMS]]
    parts = [*headlines, *_unmet(report), *(markdown(section) for section in tables)]
    return "\n\n".join(parts) + "\n"


def _unmet(report: SweepReport) -> list[str]:
    """The bounds that are not met, as one Markdown list."""
    return ["\n".join(f"- {line}" for line in report.unmet)] if report.unmet else []
