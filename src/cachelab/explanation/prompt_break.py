"""A break: the first token at which a prompt leaves what an earlier request left in the cache."""

from dataclasses import dataclass
from typing import Literal

from cachelab.explanation.break_class import BreakClass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a prompt differs from an earlier one.

    `part`: `message`, `tools` (the tool definitions), `template` (tokens that the chat template adds, or a message that
    it shows in another way) or `isolation` (model, LoRA, cache salt). `message`: the index of the prompt's message, or
    of the earlier prompt's where the message is missing now (None: not a message). `role`: its role, "" for other
    parts. `start`, `end`: the changed characters of the message's text, end exclusive (None: the whole message, or not
    a message). `label`: the place in words, such as "system message"; causes are grouped by it.
    """

    part: Literal["message", "tools", "template", "isolation"]
    label: str
    message: int | None = None
    role: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """Where and why one prompt leaves the prefix that it shares with an earlier request.

    `token`: the first prompt token that differs. `earlier`: the id of the request with which the prompt is compared;
    `earlier_turns` is how many turns before it is in the same conversation (None: of another conversation). `before`
    and `after`: the changed text, earlier and now; `left` and `right`: the unchanged text around it, a few words; all
    four are "" if texts are not shown. `behind_tokens`: tokens of the prompt that are behind the break.
    """

    token: int
    earlier: str
    earlier_turns: int | None
    kind: BreakClass
    place: Place
    before: str
    after: str
    left: str
    right: str
    behind_tokens: int
