"""The figure of the losses: a waterfall of all prompt tokens, and the shares of each turn."""

from typing import TYPE_CHECKING

import numpy as np

from cachelab.metrics.losses import TERMS, losses_table, lost
from cachelab.metrics.observation import Observation
from cachelab.report.style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, YELLOW, bar_ticks, blank_figure, legend_outside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_TURNS = 20
_COLOURS = (GREEN, "#882255", "#BBBBBB", YELLOW, PURPLE, SKY, "black", BLUE, "#117733", RED, ORANGE)
LABELS = {
    "reused": "reused",
    "routing": "routing (in another replica)",
    "never_seen": "never seen (compulsory)",
    "block_rounding": "block rounding",
    "last_token": "last-token rule",
    "in_flight": "still in flight",
    "other": "preemption, concurrency",
    "layout": "layout (windows, states)",
    "expired": "expired (TTL)",
    "eviction": "eviction (avoidable with foresight)",
    "capacity": "capacity (cache too small)",
}
"""Short names of the terms. Only a policy that knows the future requests (Belady's optimum) avoids the evictions."""


def losses_figure(observation: Observation) -> "Figure | None":
    """The shares of all prompt tokens as a waterfall from 100 %, and the same shares of each turn."""
    if not observation.completed:
        return None
    figure = blank_figure(6.4, 8.4)
    upper, lower = figure.subplots(2, 1)
    shares = [100 * (lost(observation, term).value or 0.0) for term in TERMS]
    left = 100.0
    for place, (share, colour) in enumerate(zip(shares, _COLOURS, strict=True)):
        left -= share
        upper.barh(place, share, left=left, color=colour)
        upper.annotate(
            f"{share:.2f} %", (left + share, place), va="center", fontsize=8, xytext=(3, 0), textcoords="offset points"
        )
    upper.set_yticks(range(len(TERMS)), [LABELS[term] for term in TERMS], fontsize=8)
    upper.invert_yaxis()
    upper.set_xlim(0, 118)
    upper.set_xlabel("share of all prompt tokens (%)")
    upper.set_title(f"{int(observation.prompt_tokens.sum()):,} prompt tokens by reason", fontsize=11)
    table = losses_table(observation)
    turns = np.asarray(table["turn_index"])[:_MOST_TURNS]
    columns = np.asarray([table[f"{term}_tokens"][:_MOST_TURNS] for term in TERMS], np.float64)
    of_turn = 100 * columns / columns.sum(axis=0)
    bottom = np.zeros(len(turns))
    for term, share, colour in zip(TERMS, of_turn, _COLOURS, strict=True):
        lower.bar(turns, share, bottom=bottom, color=colour, label=LABELS[term] if share.any() else "_none")
        bottom += share
    lower.set_ylabel("share of the turn's\nprompt tokens (%)")
    lower.set_xlabel(
        "turn index (0 = first)" + (f", the first {_MOST_TURNS}" if len(table["turn_index"]) > _MOST_TURNS else "")
    )
    bar_ticks(lower, turns.tolist())
    legend_outside(lower, 8)
    return figure
