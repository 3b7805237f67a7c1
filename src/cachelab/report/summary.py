"""Makes summary.md: the tables of a finished run, the meaning of each number, and how to repeat the run."""

from collections.abc import Mapping, Sequence

from cachelab.explanation import Explanation
from cachelab.metrics.base import AnyMetric
from cachelab.pipeline import Result
from cachelab.report.headline import context, further_lines, headline
from cachelab.report.repeat import repeat_facts
from cachelab.report.section import Section, plain
from cachelab.report.sections import sections
from cachelab.tracking.description import RunDescription

MAX_TURNS = 100


def summary(
    result: Result,
    description: RunDescription,
    metrics: Sequence[AnyMetric],
    figures: Mapping[str, str | None],
    explanation: Explanation | None = None,
) -> str:
    """The text of summary.md. `figures`: what each figure shows, None for a figure without data."""
    parts = [
        f"# {_escaped(description.run_name)}",
        f"**{headline(result)}**",
        context(result),
        *([] if explanation is None else [f"{_escaped(explanation.verdict)} (explanation.md has the causes)"]),
        *further_lines(result),
        *result.run.notes,
        *map(_escaped, result.workload.dataset.notes),
        *(table(section) for section in sections(result, description, max_turns=MAX_TURNS)),
        _again(result, description),
        *([_figures(figures)] if figures else []),
        _meanings(result, metrics),
    ]
    return "\n\n".join(parts) + "\n"


def table(section: Section) -> str:
    """The section as a Markdown table. An indented first cell keeps its indentation."""
    marks = ["---" if index in section.left else "---:" for index in range(len(section.columns))]
    rows = [_row(section.columns), f"|{'|'.join(marks)}|", *(_row(row) for row in section.rows)]
    note = f"\n\n{section.note}" if section.note else ""
    return f"## {section.title}\n\n" + "\n".join(rows) + note


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell).replace("  ", "&nbsp;&nbsp;") for cell in cells) + " |"


def _again(result: Result, description: RunDescription) -> str:
    facts = [f"- {_escaped(fact)}" for fact in repeat_facts(result, description)]
    return "\n".join(["## How to repeat this run", "", f"    {description.command}", "", *facts])


def _figures(figures: Mapping[str, str | None]) -> str:
    lines = [
        f"- `figures/{name}.svg`: {what}" if what is not None else f"- {name}: omitted, this run has no data for it"
        for name, what in figures.items()
    ]
    return "\n".join(["## Figures", "", *lines])


def _meanings(result: Result, metrics: Sequence[AnyMetric]) -> str:
    clock = result.run.counters.clock
    rows = [
        (metric.name, _value(result, metric.name), metric.unit_label(clock), metric.definition) for metric in metrics
    ]
    return table(Section("Metrics", ("metric", "value", "unit", "definition"), rows, "", frozenset({0, 2, 3})))


def _value(result: Result, name: str) -> str:
    if steps := result.numbers.series.get(name):
        return f"{len(steps):,} step{'' if len(steps) == 1 else 's'}"
    return plain(result.numbers.values.get(name))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
