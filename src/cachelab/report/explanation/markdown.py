"""explanation.md: the verdict, the prompt tokens, the causes with their texts, the groups."""

import re
from collections.abc import Sequence

from cachelab.explanation import CLASSES, Cause, Explanation, Group
from cachelab.metrics.base import Ratio
from cachelab.report.explanation.changed_text import before_and_after, printable
from cachelab.report.explanation.console import rows
from cachelab.report.explanation.token_shares import LABELS, of_run
from cachelab.report.explanation.verdict import verdict
from cachelab.report.section import Section, count, percent
from cachelab.report.summary import table

_MAX_CAUSES = 100
_MAX_GROUPS = 50
_TEXT = 110  # letters of a text

COLUMNS = ("cause", "place", "requests", "tokens behind", "points alone", "points so far")
MEANINGS = (
    "Tokens behind: prompt tokens that an earlier request held, but that cannot be reused, because something before "
    "them changed. Each token has one cause: the first break of its prompt. Points alone: what undoing this cause "
    "alone gives; points so far: together with the causes above it. Both are measured: the changed workload ran "
    "through the same engine."
)


def explanation_markdown(explanation: Explanation, title: str) -> str:
    """The text of explanation.md."""
    causes = explanation.causes[:_MAX_CAUSES]
    parts = [f"# {_escaped(title)}", f"**{_escaped(verdict(explanation))}**", *map(_escaped, explanation.notes)]
    parts.append(table(tokens_section(explanation)))
    if causes:
        note = MEANINGS
        if len(explanation.causes) > len(causes):
            note += f" {len(explanation.causes) - len(causes)} more causes are in breaks.csv."
        parts.append(table(Section("Causes", COLUMNS, rows(causes), note, frozenset({0, 1}))))
        parts += [_cause(number, cause) for number, cause in enumerate(causes, 1)]
    if explanation.groups:
        parts.append(table(groups_section(explanation.groups)))
        parts.append(table(first_tokens_section(explanation.groups)))
    return "\n\n".join(parts) + "\n"


def tokens_section(explanation: Explanation) -> Section:
    """The prompt tokens by what became of them. The rows sum to all prompt tokens."""
    total = explanation.prompt_tokens
    cells = [(LABELS[share], tokens) for share, tokens in of_run(explanation).items()]
    shown = [(label, percent(Ratio(tokens, total).value), count(tokens)) for label, tokens in cells]
    return Section("Prompt tokens", ("tokens", "share", "number"), [*shown, ("sum", "", count(total))])


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


def _cause(number: int, cause: Cause) -> str:
    lines = [f"### {number}. {_escaped(CLASSES[cause.kind].title)}, {_escaped(printable(cause.place))}"]
    shown = before_and_after(cause, _TEXT)
    if shown is not None:
        before, after = (text.marked for text in shown)
        fence = _fence(before + after)
        lines.append(f"{fence}diff\n- {before}\n+ {after}\n{fence}")
    if cause.advice:
        lines.append(cause.advice)
    return "\n\n".join(lines)


def _fence(text: str) -> str:
    """A fence of a code block that the text does not contain."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def _escaped(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
