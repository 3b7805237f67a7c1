"""The prompt tokens of an explanation by what became of them."""

from collections.abc import Mapping
from typing import Literal

from cachelab.explanation import ExplainedRequest, Explanation
from cachelab.report.losses_figure import LABELS as LOSSES

Share = Literal["reused", "other", "behind", "new"]

LABELS: Mapping[Share, str] = {
    "reused": "reused",
    "other": "lost to the cache (block rounding, eviction, ...)",
    "behind": "behind a break (seen before, out of reach)",
    "new": "new text",
}
"""Every prompt token is one of these, in this order."""


def of_request(request: ExplainedRequest) -> dict[Share, int]:
    """The tokens of one prompt. They sum to its length."""
    return {
        "reused": request.reused_tokens,
        "other": request.other_tokens,
        "behind": request.behind_tokens,
        "new": request.new_tokens,
    }


def waterfall(explanation: Explanation) -> list[tuple[Share, str, int]]:
    """The tokens of all prompts: kind, label, number. They sum to the prompt tokens of the run.

    What the cache lost is divided into the terms of the losses; those without tokens are left out.
    """
    sums: dict[Share, int] = dict.fromkeys(LABELS, 0)
    for request in explanation.requests:
        for share, tokens in of_request(request).items():
            sums[share] += tokens
    found: list[tuple[Share, str, int]] = []
    for share, label in LABELS.items():
        if share == "other":
            found += [(share, f"lost: {LOSSES[term]}", tokens) for term, tokens in explanation.lost.items() if tokens]
        else:
            found.append((share, label, sums[share]))
    return found
