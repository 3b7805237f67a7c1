"""The conversations that lost most prompt tokens, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cachelab.metrics.base import Ratio
from cachelab.metrics.lost_tokens import LOST, conversation_table
from cachelab.metrics.observation import Observation, if_measured
from cachelab.report.losses_figure import LABELS
from cachelab.report.section import Section, count, percent

MOST = 10


@dataclass(frozen=True, slots=True)
class WorstConversation:
    """A conversation's prompt tokens: reused, lost, and lost to the term `reason`, which lost most of them."""

    id: str
    requests: int
    prompt_tokens: int
    reused_tokens: int
    lost_tokens: int
    reason: str
    reason_tokens: int


def worst_conversations(observation: Observation, most: int = MOST) -> tuple[list[WorstConversation], bool]:
    """The conversations with most lost tokens, the largest first, and whether tokens never seen before count as lost.

    Empty if the hits were not measured. They count only where nothing else was lost: an earlier request had computed
    all other lost tokens.
    """
    table = if_measured(conversation_table, observation)
    if table is None:
        return [], False
    terms = [term for term in LOST if term != "never_seen"]
    never_seen = not any(any(table[f"{term}_tokens"]) for term in terms)
    terms = ["never_seen"] if never_seen else terms
    tokens = np.asarray([table[f"{term}_tokens"] for term in terms], np.int64)  # (num_terms, num_conversations)
    lost = tokens.sum(axis=0)
    found = []
    for place in np.argsort(-lost, kind="stable")[:most].tolist():
        reason = int(tokens[:, place].argmax())
        if lost[place]:
            found.append(
                WorstConversation(
                    table["conversation_id"][place],
                    table["requests"][place],
                    table["prompt_tokens"][place],
                    table["reused_tokens"][place],
                    int(lost[place]),
                    LABELS[terms[reason]],
                    int(tokens[reason, place]),
                )
            )
    return found, never_seen


def worst_section(observation: Observation) -> Section:
    """The same as a table."""
    found, never_seen = worst_conversations(observation)
    note = (
        "Nothing was lost that an earlier request had computed: lost are the tokens never seen before."
        if never_seen
        else "Lost: prompt tokens that an earlier request had computed and this one computed again."
    )
    columns = ("conversation", "requests", "prompt tokens", "reused", "lost", "most of it to", "tokens")
    return Section("Conversations that lost most", columns, _rows(found), note, frozenset({0, 5}))


def _rows(found: Sequence[WorstConversation]) -> list[tuple[str, ...]]:
    return [
        (
            one.id,
            count(one.requests),
            count(one.prompt_tokens),
            percent(Ratio(one.reused_tokens, one.prompt_tokens).value),
            count(one.lost_tokens),
            one.reason,
            count(one.reason_tokens),
        )
        for one in found
    ]
