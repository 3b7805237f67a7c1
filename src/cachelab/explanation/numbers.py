"""The numbers of an explanation, which a run logs as metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cachelab.explanation.break_class import CLASSES, BreakClass
from cachelab.explanation.result import Explanation
from cachelab.metrics.base import Numbers, Ratio


@dataclass(frozen=True, slots=True)
class Number:
    """A metric of an explanation; the fields are those of metrics.base.Metric."""

    name: str
    unit: str
    definition: str
    compute: Callable[[Explanation], float | None]
    absent_when: str


def _share(explanation: Explanation, tokens: int) -> float | None:
    return Ratio(tokens, explanation.prompt_tokens).value


def _tokens(kind: BreakClass, explanation: Explanation) -> float:
    return float(
        sum(one.found.behind_tokens for one in explanation.requests if one.found is not None and one.found.kind == kind)
    )


_NONE = "no request completed"
_ALWAYS = "never (with `experiment=explain`)"

NUMBERS: tuple[Number, ...] = (
    Number(
        "losses/behind_a_break",
        "ratio",
        "Share of the prompt tokens that an earlier request held, and that are behind a break: a part of "
        "losses/never_seen.",
        lambda explanation: _share(explanation, explanation.behind_tokens),
        _NONE,
    ),
    Number(
        "losses/new",
        "ratio",
        "Share of the prompt tokens that are never seen and not behind a break: the other part of losses/never_seen.",
        lambda explanation: _share(explanation, explanation.new_tokens),
        _NONE,
    ),
    Number(
        "breaks/requests",
        "requests",
        "Completed requests whose prompt breaks, different tasks left out.",
        lambda explanation: float(
            sum(one.found is not None and one.found.kind != "different_task" for one in explanation.requests)
        ),
        _ALWAYS,
    ),
    Number(
        "explain/hit_rate_all_fixed",
        "ratio",
        "hit_rate/first_prefill of the same workload in the same engine with all "
        "causes undone that can be, at most explain.max_causes.",
        lambda explanation: None if explanation.hit_rate_all_fixed is None else explanation.hit_rate_all_fixed.value,
        "no cause is undone",
    ),
    *(
        Number(
            f"breaks/{kind}_tokens",
            "tokens",
            f"Prompt tokens behind breaks of this class: {text.title}.",
            partial(_tokens, kind),
            _ALWAYS,
        )
        for kind, text in CLASSES.items()
        if kind != "different_task"
    ),
)
"""Every number in the order of the document. A different task has no text behind its break."""


def with_explanation(measured: Numbers, explanation: Explanation) -> Numbers:
    """The numbers of a run with those of its explanation."""
    return Numbers({**measured.values, **numbers(explanation)}, measured.series)


def numbers(explanation: Explanation) -> dict[str, float]:
    """The defined numbers by name."""
    found = {number.name: number.compute(explanation) for number in NUMBERS}
    return {name: value for name, value in found.items() if value is not None}
