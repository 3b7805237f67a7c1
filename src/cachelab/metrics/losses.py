"""Losses: the prompt tokens by the reason why they were or were not found in the cache."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cachelab.metrics.base import Metric, Ratio
from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation, if_measured, memoize
from cachelab.prefix_cache.accesses import BlockAccesses, lru_hit_blocks
from cachelab.prefix_cache.hit_rate_curve import opt_hit_blocks
from cachelab.prefix_cache.request_blocks import seen_tokens


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """The prompt tokens of each completed request, divided into eleven terms that sum to the prompt's length.

    Each prompt token belongs to the first term that applies; MEANINGS defines the terms. int64, shape of each:
    (num_completed,).
    """

    reused: Int64s
    routing: Int64s
    never_seen: Int64s
    block_rounding: Int64s
    last_token: Int64s
    in_flight: Int64s
    other: Int64s
    layout: Int64s
    expired: Int64s
    eviction: Int64s
    capacity: Int64s

    @classmethod
    def of(cls, observation: Observation) -> "Losses":
        """The terms of a run, computed from its records."""
        accesses, size, counters = observation.plain_accesses, observation.plain_blocks, observation.counters
        cached = observation.cached_tokens
        plain = accesses is observation.accesses  # else the terms are those of a model of full-attention layers
        held = np.maximum(observation.elsewhere_tokens, cached)  # here, or in another replica
        hits = -(-held // accesses.block_size) if accesses.rules == "trace" else held // accesses.block_size
        requests = [observation.requests[record.request_id] for record in observation.completed]
        replies = [record.reply_tokens for record in observation.completed]
        # A cache that did not start empty can hold more than the earlier requests left.
        seen = np.maximum(seen_tokens(requests, replies, accesses.block_size, accesses.rules), held)
        known = np.maximum(accesses.cached_tokens(np.minimum(accesses.known_blocks(), accesses.prompt_blocks)), held)
        ideal_blocks = np.maximum(accesses.ideal_hit_blocks(), hits)
        late_blocks = _in_flight(observation, accesses, hits, ideal_blocks)
        # The other blocks had been in the cache. Of these, first those that one request at a time hits in an LRU cache
        # of this size, then those that Belady's optimum hits. Another policy than LRU has evicted both.
        fits = size >= accesses.most_slots or accesses.rules == "trace"
        expires = counters.lifetime_s is not None
        alone = lru_hit_blocks(accesses, size) if fits and (counters.policy == "lru" or expires) else hits
        best = opt_hit_blocks(accesses, [size])[0]
        in_time = ideal_blocks - late_blocks
        other_blocks = np.clip(alone, hits, in_time)
        evicted_blocks = np.clip(best, other_blocks, in_time)
        steps = (other_blocks, evicted_blocks, in_time, ideal_blocks)
        alone_at, best_at, in_time_at, ideal_at = (np.maximum(accesses.cached_tokens(blocks), held) for blocks in steps)
        return cls(
            reused=cached,
            routing=held - cached,
            never_seen=accesses.prompt_tokens - seen,
            block_rounding=seen - known,
            last_token=known - ideal_at,
            in_flight=ideal_at - in_time_at,
            other=(alone_at - held) * (plain and not expires),
            layout=(alone_at - held) * (not plain),
            expired=(alone_at - held) * expires,
            eviction=best_at - alone_at,
            capacity=in_time_at - best_at,
        )


MEANINGS = {
    "reused": "found in the cache at the first prefill",
    "routing": "that another replica held when the request was routed, but its own did not at the first prefill",
    "never_seen": "after the longest prefix shared with any earlier prompt and computed reply: compulsory misses",
    "block_rounding": "in that shared prefix, but after its last full block",
    "last_token": "in the last block of a fully cached prompt, which vLLM computes again to get the last token",
    "in_flight": "in blocks that earlier requests were still computing when the request was first scheduled",
    "other": "that one request at a time hits in one cache of this size, but preemptions, concurrent requests or the "
    "division into replicas missed",
    "layout": "that full-attention layers alone hit in this memory, one request at a time, but this layout missed",
    "expired": "that the same cache hits if its blocks do not expire (engine/policy=ttl)",
    "eviction": "in evicted blocks that Belady's optimum keeps in a cache of this size, because it knows the future",
    "capacity": "in evicted blocks that Belady's optimum does not keep in a cache of this size either",
}
"""The definition of each term, as the end of "Prompt tokens ..."."""


def losses_table(observation: Observation) -> dict[str, list[Any]]:
    """One row per turn index of the completed requests, in ascending order: requests, then the tokens of each term."""
    turns = np.asarray([record.turn_index for record in observation.completed], dtype=np.int64)
    indices, row = np.unique(turns, return_inverse=True)
    table: dict[str, list[Any]] = {
        "turn_index": indices.tolist(),
        "requests": np.bincount(row, minlength=len(indices)).tolist(),
    }
    losses = losses_of(observation)
    for term in TERMS:
        sums = np.zeros(len(indices), np.int64)
        np.add.at(sums, row, getattr(losses, term))
        table[f"{term}_tokens"] = sums.tolist()
    return table


@memoize
def losses_of(observation: Observation) -> Losses:
    """The losses of a run, computed once."""
    return Losses.of(observation)


def lost(observation: Observation, term: str) -> Ratio:
    """The tokens of a term of all prompt tokens; 0 of 0 if prefix caching is disabled or hits were not measured."""
    losses = None if observation.counters.queries_tokens == 0 else if_measured(losses_of, observation)
    if losses is None:
        return Ratio(0, 0)
    return Ratio(int(getattr(losses, term).sum()), int(observation.prompt_tokens.sum()))


def _in_flight(observation: Observation, accesses: BlockAccesses, hits: Int64s, ideal_blocks: Int64s) -> Int64s:
    from cachelab.prefix_cache.kernels.in_flight import blocks_in_flight

    def times(name: str) -> Int64s:
        return np.asarray([getattr(record, name) for record in observation.completed], np.int64)

    late: Int64s = blocks_in_flight(
        accesses.blocks,
        accesses.offsets,
        accesses.prompt_blocks,
        hits,
        np.minimum(ideal_blocks, np.diff(accesses.offsets)),
        times("first_scheduled_ns"),
        times("first_token_ns"),
        times("finished_ns"),
    )
    return late


TERMS = tuple(field.name for field in fields(Losses))


def _metric(term: str) -> Metric:
    return Metric(
        f"losses/{term}",
        "ratio",
        f"Share of the prompt tokens {MEANINGS[term]}.",
        lambda observation: lost(observation, term).value,
        "no request completed, or prefix caching is disabled",
    )


METRICS = tuple(_metric(term) for term in TERMS)
