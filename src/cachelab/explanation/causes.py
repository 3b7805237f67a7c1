"""The causes of breaks, each one undone and the workload run again."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cachelab.conversation import TokenizedConversation
from cachelab.explanation.analysis import Analysis
from cachelab.explanation.break_class import CLASSES
from cachelab.explanation.prompt_break import Break
from cachelab.explanation.result import Cause, ExplainedRequest
from cachelab.explanation.undo import KEPT_BY_TEMPLATE, Key
from cachelab.metrics.base import Ratio

log = logging.getLogger(__name__)

Undone = Callable[[Sequence[Key]], tuple[Analysis, Sequence[TokenizedConversation]]]
"""Runs the workload with causes undone: the analysis of that run, and its conversations."""


@dataclass(frozen=True, slots=True)
class Found:
    """The causes, the hit rate with all of them undone (None: none is undone), and the conversations of that run."""

    causes: Sequence[Cause]
    hit_rate_all_fixed: Ratio | None
    conversations: Sequence[TokenizedConversation] | None


def find_causes(original: Analysis, run: Undone, max_causes: int) -> Found:
    """Undo one cause after the other: of those that the current workload shows, the one with most tokens behind it.

    A cause that stands behind another one in every prompt shows when that one is undone. Each cause is also undone
    alone. At most `max_causes` causes are undone, each of which runs the workload twice.
    """
    current, conversations = original, None
    order: list[Key] = []
    cumulative: list[Analysis] = []
    examples: dict[Key, Break] = {}
    while len(order) < max_causes:
        shown = _by_key(current.explained)
        examples |= {key: one for key, (one, *_) in shown.items() if key not in examples}
        left = {key: (tokens, requests) for key, (_, requests, tokens) in shown.items() if _is_undone(key)}
        key = max((key for key in left if key not in order), key=lambda key: left[key], default=None)
        if key is None:
            break
        order.append(key)
        current, conversations = run(order)
        cumulative.append(current)
        log.info("explain: without %s in %s: hit rate %s", *key, current.hit_rate.value)
    first = _by_key(original.explained)
    causes: list[Cause] = []
    for place, key in enumerate(order):
        alone = cumulative[0] if place == 0 else run([key])[0]
        causes.append(_cause(key, first, examples[key], original, alone, cumulative[place]))
    others = [key for key in first if key not in order and key[0] != "different_task"]
    others.sort(key=lambda key: (first[key][2], first[key][1]), reverse=True)
    causes += [_cause(key, first, examples[key], original, None, None) for key in others]
    return Found(causes, cumulative[-1].hit_rate if cumulative else None, conversations)


def _is_undone(key: Key) -> bool:
    if key[1] == "template":
        return key == KEPT_BY_TEMPLATE
    return bool(CLASSES[key[0]].undone)


def _by_key(explained: Sequence[ExplainedRequest]) -> Mapping[Key, tuple[Break, int, int]]:
    """The breaks by cause: the one with most tokens behind it, how many requests, and the tokens of all."""
    found: dict[Key, tuple[Break, int, int]] = {}
    for request in explained:
        if (one := request.found) is not None:
            key = (one.kind, one.place.label)
            example, requests, tokens = found.get(key, (one, 0, 0))
            best = one if one.behind_tokens > example.behind_tokens else example
            found[key] = best, requests + 1, tokens + one.behind_tokens
    return found


def _cause(
    key: Key,
    first: Mapping[Key, tuple[Break, int, int]],
    example: Break,
    before: Analysis,
    alone: Analysis | None,
    cumulative: Analysis | None,
) -> Cause:
    _, requests, tokens = first.get(key, (example, 0, 0))
    shown = first[key][0] if key in first else example
    return Cause(
        kind=key[0],
        place=key[1],
        role=shown.place.role,
        before=shown.before,
        after=shown.after,
        requests=requests,
        tokens=tokens,
        hit_rate_before=before.hit_rate,
        hit_rate_alone=None if alone is None else alone.hit_rate,
        hit_rate_cumulative=None if cumulative is None else cumulative.hit_rate,
        tokens_before=before.tokens,
        tokens_alone=None if alone is None else alone.tokens,
        example=shown,
    )
