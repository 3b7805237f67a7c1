"""The tables of an explanation."""

from collections.abc import Sequence

from cachelab.explanation import CLASSES, Cause, Explanation, Group
from cachelab.metrics.base import Ratio
from cachelab.report.explanation.changed_text import printable
from cachelab.report.explanation.token_shares import waterfall
from cachelab.report.section import Section, count, percent, points

MAX_CAUSES = 100
_MAX_GROUPS = 50

MEANINGS = (
    "Tokens behind: prompt tokens that an earlier request held, but that cannot be reused, because something before "
    "them changed. Each token has one cause: the first break of its prompt. Points alone: what undoing this cause "
    "alone gives; points so far: together with the causes above it. Both are measured: the changed workload ran "
    "through the same engine."
)


def causes_section(causes: Sequence[Cause]) -> Section:
    """One row per cause, in the order of the explanation."""
    rows = [
        (
            CLASSES[cause.kind].title,
            printable(cause.place),
            count(cause.requests),
            count(cause.tokens),
            points(cause.points_alone),
            points(cause.points_cumulative),
        )
        for cause in causes[:MAX_CAUSES]
    ]
    note = MEANINGS
    if len(causes) > len(rows):
        note += f" {len(causes) - len(rows)} more causes are in breaks.csv."
    columns = ("cause", "place", "requests", "tokens behind", "points alone", "points so far")
    return Section("Causes", columns, rows, note, frozenset({0, 1}))


def tokens_section(explanation: Explanation) -> Section:
    """The prompt tokens by what became of them. The rows sum to all prompt tokens."""
    total = explanation.prompt_tokens
    cells = waterfall(explanation)
    shown = [(label, percent(Ratio(tokens, total).value), count(tokens)) for _, label, tokens in cells]
    title = "Prompt tokens (simulated)" if explanation.simulated else "Prompt tokens"
    return Section(title, ("tokens", "share", "number"), [*shown, ("sum", "", count(total))])


def groups_section(groups: Sequence[Group]) -> Section:
    """One row per group, most requests first, with the cause that has most tokens behind it."""
    found = []
    for group in groups[:_MAX_GROUPS]:
        worst = max(group.by_cause.items(), key=lambda item: item[1], default=None)
        found.append(
            (
                printable(group.value),
                count(group.requests),
                percent(Ratio(group.reused_tokens, group.prompt_tokens).value),
                percent(Ratio(group.behind_tokens, group.prompt_tokens).value),
                percent(Ratio(group.new_tokens, group.prompt_tokens).value),
                "" if worst is None else f"{CLASSES[worst[0][0]].title}, {printable(worst[0][1])}",
            )
        )
    columns = ("group", "requests", "reused", "behind a break", "new", "largest cause")
    note = f"{len(groups) - len(found)} more groups." if len(groups) > len(found) else ""
    return Section("Groups", columns, found, note, frozenset({0, 5}))


def first_tokens_section(groups: Sequence[Group]) -> Section:
    """How many prompts of each group break before which token."""
    bounds = sorted({bound for group in groups[:_MAX_GROUPS] for bound in group.first_tokens})
    found = [
        (printable(group.value), *(count(group.first_tokens.get(bound, 0)) for bound in bounds))
        for group in groups[:_MAX_GROUPS]
    ]
    columns = ("group", *(f"< {bound:,}" for bound in bounds))
    return Section("Requests by the first token that differs", columns, found if bounds else [])
