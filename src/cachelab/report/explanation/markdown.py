"""explanation.md: the verdict, the prompt tokens, the causes with their texts, the groups."""

import re

from cachelab.explanation import CLASSES, Cause, Explanation
from cachelab.report.explanation.changed_text import before_and_after, printable
from cachelab.report.explanation.savings import other_fix, savings
from cachelab.report.explanation.sections import (
    MAX_CAUSES,
    causes_section,
    first_tokens_section,
    groups_section,
    tokens_section,
)
from cachelab.report.summary import table

_TEXT = 110  # letters of a text


def explanation_markdown(explanation: Explanation, title: str) -> str:
    """The text of explanation.md."""
    causes = explanation.causes[:MAX_CAUSES]
    parts = [f"# {_escaped(title)}", f"**{_escaped(explanation.verdict)}**", *map(_escaped, explanation.notes)]
    parts.append(table(tokens_section(explanation)))
    if causes:
        parts.append(table(causes_section(explanation.causes)))
        parts += [_cause(number, cause, explanation) for number, cause in enumerate(causes, 1)]
    if explanation.groups:
        parts.append(table(groups_section(explanation.groups)))
        parts.append(table(first_tokens_section(explanation.groups)))
    return "\n\n".join(parts) + "\n"


def _cause(number: int, cause: Cause, explanation: Explanation) -> str:
    lines = [f"### {number}. {_escaped(CLASSES[cause.kind].title)}, {_escaped(printable(cause.place))}"]
    shown = before_and_after(cause, _TEXT)
    if shown is not None:
        before, after = (text.marked for text in shown)
        fence = _fence(before + after)
        lines.append(f"{fence}diff\n- {before}\n+ {after}\n{fence}")
    if cause.advice:
        lines.append(cause.advice)
    if other := other_fix(cause):
        lines.append(f"Or: {other}.")
    if saved := savings(cause, explanation):
        lines.append(f"What it saves, undone alone: {saved}.")
    return "\n\n".join(lines)


def _fence(text: str) -> str:
    """A fence of a code block that the text does not contain."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def _escaped(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
