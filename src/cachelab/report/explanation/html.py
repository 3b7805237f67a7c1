"""explanation.html: one page that needs no network and runs no script."""

from typing import Any

from cachelab.explanation import CLASSES, Cause, Explanation
from cachelab.metrics.base import Ratio
from cachelab.report.explanation.changed_text import ShownText, before_and_after, printable
from cachelab.report.explanation.conversation_bars import MAX_TURNS, Bar, conversation_bars
from cachelab.report.explanation.savings import other_fix, savings
from cachelab.report.explanation.sections import (
    MAX_CAUSES,
    MEANINGS,
    first_tokens_section,
    groups_section,
)
from cachelab.report.explanation.token_shares import LABELS, waterfall
from cachelab.report.page.template import rendered
from cachelab.report.section import count, percent, points

_TEXT = 400  # letters of a text
_HOVER = 240


def explanation_html(explanation: Explanation, title: str) -> str:
    """The page. Every text of a prompt is escaped; the page's own policy forbids scripts and connections."""
    total = explanation.prompt_tokens
    conversations, more_conversations = conversation_bars(explanation)
    left = 0.0
    steps = []
    for share, label, tokens in waterfall(explanation):
        part = 100 * (Ratio(tokens, total).value or 0.0)
        steps.append({"share": share, "label": label, "tokens": tokens, "percent": part, "left": left})
        left += part
    return rendered(
        "explanation/page.html.j2",
        title=printable(title),
        verdict=printable(explanation.verdict),
        notes=explanation.notes,
        total=total,
        waterfall=steps,
        labels=LABELS,
        causes=[_cause(cause, explanation) for cause in explanation.causes[:MAX_CAUSES]],
        more_causes=max(0, len(explanation.causes) - MAX_CAUSES),
        meanings=MEANINGS,
        all_fixed=None if explanation.hit_rate_all_fixed is None else percent(explanation.hit_rate_all_fixed.value),
        all_fixed_label=explanation.all_fixed_label,
        conversations=conversations,
        more_conversations=more_conversations,
        most_turns=MAX_TURNS,
        hover=_hover,
        tables=[groups_section(explanation.groups), first_tokens_section(explanation.groups)]
        if explanation.groups
        else [],
        count=count,
    )


def _cause(cause: Cause, explanation: Explanation) -> dict[str, Any]:
    shown = before_and_after(cause, _TEXT)
    return {
        "title": CLASSES[cause.kind].title,
        "place": printable(cause.place),
        "requests": count(cause.requests),
        "tokens": count(cause.tokens),
        "alone": points(cause.points_alone),
        "so_far": points(cause.points_cumulative),
        "after": None if cause.hit_rate_alone is None else percent(cause.hit_rate_alone.value),
        "texts": None if shown is None else list(zip(("before", "after"), shown, strict=True)),
        "advice": cause.advice,
        "other_fix": other_fix(cause),
        "saves": savings(cause, explanation),
    }


def _hover(bar: Bar) -> list[tuple[str, ShownText]]:
    """The break's text earlier and now, for the box that a pointer opens; [] if texts are not shown."""
    found = bar.found
    if found is None:
        return []
    none = Ratio(0, 0)
    shown = before_and_after(Cause(found.kind, "", "", "", "", 0, 0, none, example=found), _HOVER)
    return [] if shown is None else list(zip(("before", "after"), shown, strict=True))
