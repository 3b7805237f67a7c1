"""The prompt tokens of an explanation by what became of them."""

from collections.abc import Mapping
from typing import Literal

from cachelab.explanation import ExplainedRequest, Explanation

Share = Literal["reused", "other", "behind", "new"]

LABELS: Mapping[Share, str] = {
    "reused": "reused",
    "other": "lost to the cache (block rounding, eviction, concurrency)",
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


def of_run(explanation: Explanation) -> dict[Share, int]:
    """The tokens of all prompts. They sum to the prompt tokens of the run."""
    sums: dict[Share, int] = dict.fromkeys(LABELS, 0)
    for request in explanation.requests:
        for share, tokens in of_request(request).items():
            sums[share] += tokens
    return sums
