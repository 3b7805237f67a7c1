"""The causes of breaks, each one undone and the workload run again."""

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cachelab.explanation.analysis import Analysis
from cachelab.explanation.break_class import CLASSES
from cachelab.explanation.prompt_break import Break
from cachelab.explanation.result import Cause, ExplainedRequest
from cachelab.explanation.undo import KEPT_BY_TEMPLATE, Key
from cachelab.metrics.base import Ratio
from cachelab.tokenized_conversation import TokenizedConversation

log = logging.getLogger(__name__)

Undone = Callable[[Sequence[Key]], tuple[Analysis, Sequence[TokenizedConversation]]]
"""Runs the workload with causes undone: the analysis of that run, and its conversations."""

Other = Callable[[Key], Ratio | None]
"""Runs the workload with a cause fixed in its second way: the hit rate; None if it has none."""


@dataclass(frozen=True, slots=True)
class Found:
    """The causes, the hit rate with all of them undone (None: none is undone), and the conversations of that run.

    `too_long`: how many requests do not run then, since they are too long.
    """

    causes: Sequence[Cause]
    hit_rate_all_fixed: Ratio | None
    conversations: Sequence[TokenizedConversation] | None
    too_long: int = 0


def find_causes(original: Analysis, run: Undone, run_other: Other, max_causes: int) -> Found:
    """Undo one cause after the other: of those that the current workload shows, the one with most tokens behind it.

    A cause that stands behind another one in every prompt shows when that one is undone. Each cause is also undone
    alone, and fixed in its second way if it has one. At most `max_causes` causes are undone, each of which runs the
    workload two or three times; those that are left then are listed without a gain.
    """
    first = _by_key(original.explained)
    undone = _UndoneInTurn(original, run)
    examples = {key: one for key, (one, *_) in first.items()}
    left: dict[Key, tuple[int, int]] = {}
    while True:
        shown = _by_key(undone.last.explained)
        examples |= {key: one for key, (one, *_) in shown.items() if key not in examples}
        left = {
            key: (tokens, requests)
            for key, (_, requests, tokens) in shown.items()
            if _is_undone(key) and key not in undone.order
        }
        if not left or len(undone.order) == max_causes:
            break
        undone.add(max(left, key=lambda key: left[key]))
    undone.drop_without_gain(first)
    causes: list[Cause] = []
    for place, key in enumerate(undone.order):
        alone = undone.analyses[0] if place == 0 else run([key])[0]
        cause = _cause(key, first, examples[key], original, alone, undone.analyses[place])
        causes.append(replace(cause, hit_rate_other_fix=run_other(key) if CLASSES[key[0]].other_fix else None))
    others = [key for key in {**first, **left} if key not in undone.order and key[0] != "different_task"]
    others.sort(key=lambda key: (first[key][2], first[key][1]) if key in first else (-1, 0), reverse=True)
    causes += [_cause(key, first, examples[key], original, None, None) for key in others]
    rate = undone.last.hit_rate if undone.order else None
    return Found(causes, rate, undone.conversations, _too_long(original, undone.last))


@dataclass(eq=False)
class _UndoneInTurn:
    """Causes undone one after the other. `analyses`: with each one and those before it undone."""

    original: Analysis
    run: Undone
    order: list[Key] = field(default_factory=list)
    analyses: list[Analysis] = field(default_factory=list)
    conversations: Sequence[TokenizedConversation] | None = None

    @property
    def last(self) -> Analysis:
        return self.analyses[-1] if self.analyses else self.original

    def add(self, key: Key) -> None:
        self.order.append(key)
        analysis, self.conversations = self.run(self.order)
        self.analyses.append(analysis)
        log.info("explain: without %s in %s: hit rate %s", *key, analysis.hit_rate.value)

    def drop_without_gain(self, first: Container[Key]) -> None:
        """Leave out causes that only a change of the workload made: without them the hit rate is no lower.

        None of them is the first break of a request of the run (`first`). A cause that gives nothing in its turn can
        still be needed, since another one may stand right behind it.
        """
        for key in [key for key in self.order if key not in first]:
            place = self.order.index(key)
            before = self.analyses[place - 1] if place else self.original
            if _rate(self.analyses[place]) > _rate(before):
                continue
            shorter = _UndoneInTurn(self.original, self.run, self.order[:place], self.analyses[:place])
            for other in self.order[place + 1 :]:
                shorter.add(other)
            if place == len(shorter.order) and shorter.order:
                shorter.conversations = self.run(shorter.order)[1]
            if _rate(shorter.last) >= _rate(self.last):
                self.order, self.analyses = shorter.order, shorter.analyses
                self.conversations = shorter.conversations


def _rate(analysis: Analysis) -> float:
    return analysis.hit_rate.value or 0.0


def _too_long(before: Analysis, after: Analysis) -> int:
    """How many requests of the first run are not in the second one."""
    return len({one.id for one in before.explained} - {one.id for one in after.explained})


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
        too_long=0 if alone is None else _too_long(before, alone),
    )
