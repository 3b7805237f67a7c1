"""Assertions for the tests of programs that build prompts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cachelab.explanation import Explanation
    from cachelab.tokenizer.base import Tokenizer

__all__ = ["assert_stable_prefix"]


def assert_stable_prefix(
    calls: Sequence[Mapping[str, Any]],
    min_hit_rate: float = 0.9,
    *,
    max_behind_a_break: float | None = None,
    tokenizer: "Tokenizer | str | None" = None,
) -> "Explanation":
    """Assert that the calls reuse each other's prompts, and return the explanation.

    Args:
        calls: Chat requests in the order in which they are sent, as `cachelab.explain` takes them.
        min_hit_rate: The least `hit_rate/first_prefill` of the calls, one after another in an unlimited cache. New text
            counts too: short conversations, and those with long new messages, need a lower bound.
        max_behind_a_break: The largest share of the prompt tokens that an earlier call held and that is out of reach
            (`losses/behind_a_break`). New text does not matter here: 0 means that no break costs tokens.
        tokenizer: As in `cachelab.explain`.

    Raises AssertionError whose message is the verdict and the causes, each with the changed text and how to fix it.
    Raises ValueError if no prompt fills a block: there is nothing to test. Also if a bound is not from 0 to 1: no share
    is above 1, so max_behind_a_break=2 would hold for all calls.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    for name, bound in (("min_hit_rate", min_hit_rate), ("max_behind_a_break", max_behind_a_break)):
        if bound is not None and not 0 <= bound <= 1:
            raise ValueError(f"{name}: {bound:g} is not a share from 0 to 1: give 0.02 for 2 %")
    from cachelab import explain
    from cachelab.metrics.base import Ratio
    from cachelab.report.explanation import explanation_text

    explanation = explain(calls, tokenizer=tokenizer)
    rate = explanation.hit_rate.value
    if rate is None:
        raise ValueError("calls: no prompt fills a block of the cache: test longer prompts")
    wrong = []
    if not rate >= min_hit_rate:
        wrong.append(f"hit rate {rate:.4g} is below min_hit_rate={min_hit_rate:g}")
    behind = Ratio(explanation.behind_tokens, explanation.prompt_tokens).value or 0.0
    if max_behind_a_break is not None and not behind <= max_behind_a_break:
        wrong.append(
            f"{behind:.4g} of the tokens are behind a break, more than max_behind_a_break={max_behind_a_break:g}"
        )
    if wrong:
        raise AssertionError("\n".join([*wrong, "", explanation_text(explanation)]))
    return explanation
