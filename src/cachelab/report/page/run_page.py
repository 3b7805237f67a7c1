"""report.html of a run: one page with what a reader of the run asks first."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cachelab.explanation import Explanation
from cachelab.metrics.base import Ratio
from cachelab.metrics.losses import TERMS, lost
from cachelab.pipeline import Result
from cachelab.report.changed_settings import changed_settings
from cachelab.report.engine_sections import outcomes
from cachelab.report.explanation.changed_text import printable
from cachelab.report.headline import context, further_lines, headline
from cachelab.report.hit_sections import hit_rates
from cachelab.report.largest_losses import largest_losses
from cachelab.report.losses_figure import LABELS
from cachelab.report.page.drawing import drawings
from cachelab.report.page.template import rendered
from cachelab.report.repeat import repeat_facts
from cachelab.report.section import Section, count, percent
from cachelab.report.sections import asked_for
from cachelab.report.turns_section import turn_rows
from cachelab.report.worst_conversations import worst_section
from cachelab.tracking.description import RunDescription

_MOST_TURNS = 20
_SHARES = {"reused": "reused", "never_seen": "new"}  # the colours; all other terms are lost to the cache
_CURVE = "capacity"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar on a track; `left` and `percent` are in per cent of the track."""

    label: str
    share: str
    left: float
    percent: float
    text: str


def run_page(
    result: Result,
    description: RunDescription,
    figures: Path,
    captions: Mapping[str, str],
    explanation: Explanation | None = None,
) -> str:
    """The page. `figures` is the folder with the run's SVG files, `captions` says what each shows."""
    observation = result.observation
    curve, _ = drawings(figures, {name: text for name, text in captions.items() if name == _CURVE})
    losses = [(percent(loss.share.value), loss.label, loss.advice) for loss in largest_losses(result)]
    sections = [
        *asked_for(result, description),
        hit_rates(result),
        worst_section(observation),
        outcomes(result),
        changed_settings(description),
    ]
    notes = (*further_lines(result), *result.run.notes, *result.workload.dataset.notes)
    return rendered(
        "page/run.html.j2",
        title=printable(description.run_name),
        headline=headline(result),
        context=context(result),
        verdict=None if explanation is None else printable(explanation.verdict),
        notes=[printable(note) for note in notes],
        tokens=count(int(observation.prompt_tokens.sum())),
        waterfall=_waterfall(result),
        losses=Section("Largest losses", ("share", "lost to", "what to try"), losses, "", frozenset({1, 2})),
        turns=_turns(result),
        curve=curve,
        sections=[section for section in sections if section.rows],
        command=description.command,
        facts=repeat_facts(result, description),
    )


def _waterfall(result: Result) -> list[Bar]:
    """The terms of the losses from left to right; those without tokens are left out."""
    bars, left = [], 0.0
    for term in TERMS:
        ratio = lost(result.observation, term) if result.observation.completed else Ratio(0, 0)
        if not ratio.value:
            continue
        part = 100 * ratio.value
        text = f"{percent(ratio.value)} ({count(ratio.numerator)})"
        bars.append(Bar(LABELS[term], _SHARES.get(term, "other"), left, part, text))
        left += part
    return bars


def _turns(result: Result) -> list[Bar]:
    """The hit rate of each turn; the turns in the middle of many share one bar."""
    bars = []
    for label, requests, hit, total in turn_rows(result.observation, _MOST_TURNS):
        rate = Ratio(hit, total).value
        text = f"{percent(rate)} of {count(total)} blocks, {count(requests)} request{'s' * (requests != 1)}"
        bars.append(Bar(f"turn {label}", "reused", 0.0, 100 * (rate or 0.0), text))
    return bars
