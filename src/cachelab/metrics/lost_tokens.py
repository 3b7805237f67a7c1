"""The lost tokens of each request and of each conversation, and the request that evicted them."""

from itertools import pairwise
from typing import Any

import numpy as np

from cachelab.metrics.hits import Int64s
from cachelab.metrics.losses import TERMS, losses_of
from cachelab.metrics.observation import Observation, if_measured
from cachelab.prefix_cache.accesses import lru_evictions

LOST = tuple(term for term in TERMS if term != "reused")


def lost_columns(observation: Observation) -> dict[str, list[Any]]:
    """Columns of the request table: `<term>_tokens` of each loss, one row per record.

    With `cached_tokens` they sum to `prompt_tokens`. Then `evicted_by`, the id of a request. All are None for a
    rejected request, and everywhere if prefix caching is disabled or the hits were not measured.
    """
    names = [f"{term}_tokens" for term in LOST]
    losses = None if observation.counters.queries_tokens == 0 else if_measured(losses_of, observation)
    if losses is None:
        return {name: [None] * len(observation.records) for name in (*names, "evicted_by")}
    columns: dict[str, list[Any]] = {
        name: observation.per_record(getattr(losses, term).tolist()) for term, name in zip(LOST, names, strict=True)
    }
    columns["evicted_by"] = observation.per_record(evicted_by(observation))
    return columns


def evicted_by(observation: Observation) -> list[str | None]:
    """For each completed request the id of the request that evicted the first block that it lost.

    None if nothing of it was evicted, and for all requests if it is not known. It is known for requests that ran one at
    a time on an engine that evicts by LRU, if an LRU cache of the run's size hits what the run hit. The order of
    evictions among several requests at once is not in the records.
    """
    unknown: list[str | None] = [None] * len(observation.completed)
    accesses, size = observation.accesses, observation.counters.num_blocks
    several = observation.placement is not None  # replicas, each with its own cache
    other_policy = observation.counters.policy != "lru"
    if size is None or several or other_policy:
        return unknown
    if observation.plain_accesses is not accesses or not _one_at_a_time(observation):
        return unknown
    if accesses.rules == "vllm" and size < accesses.most_slots:
        return unknown
    hits, evictors = lru_evictions(accesses, size)
    if not np.array_equal(hits, observation.hit_blocks):
        return unknown
    ids = [record.request_id for record in observation.completed]
    return [None if place < 0 else ids[place] for place in evictors.tolist()]


def conversation_table(observation: Observation) -> dict[str, list[Any]]:
    """One row per conversation with completed requests, in the order of their first prefills, as columns.

    `conversation_id`, `requests`, `prompt_tokens`, `reused_tokens` and `<term>_tokens` of each loss. Empty if prefix
    caching is disabled.
    """
    completed = observation.completed if observation.counters.queries_tokens != 0 else ()
    places: dict[str, int] = {}
    row = np.asarray([places.setdefault(record.conversation_id, len(places)) for record in completed], np.int64)

    def sums(tokens: Int64s) -> list[int]:
        of_conversation = np.zeros(len(places), np.int64)
        np.add.at(of_conversation, row, tokens)
        return of_conversation.tolist()

    table: dict[str, list[Any]] = {
        "conversation_id": list(places),
        "requests": np.bincount(row, minlength=len(places)).tolist(),
    }
    table["prompt_tokens"] = sums(observation.prompt_tokens) if completed else []
    for term in TERMS:
        table[f"{term}_tokens"] = sums(getattr(losses_of(observation), term)) if completed else []
    return table


def _one_at_a_time(observation: Observation) -> bool:
    """Whether each request was scheduled after the one before it had ended."""
    pairs = pairwise(observation.completed)
    return all((before.finished_ns or 0) <= (after.first_scheduled_ns or 0) for before, after in pairs)
