"""The columns of the tables of a run: type, unit and meaning. docs/artifacts.md is made from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cachelab.metrics.capacity import DEFINITIONS
from cachelab.metrics.losses import MEANINGS, TERMS

Kind = Literal["string", "int64", "float64"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `unit` is "" for words, ids and places in a list."""

    kind: Kind
    unit: str
    meaning: str


def _words(meaning: str) -> Column:
    return Column("string", "", meaning)


def _count(unit: str, meaning: str) -> Column:
    return Column("int64", unit, meaning)


def _seconds(meaning: str) -> Column:
    return Column("float64", "s", f"{meaning}, by the engine's clock")


def _rate(meaning: str) -> Column:
    return Column("float64", "ratio", meaning)


_LOST = {f"{term}_tokens": _count("tokens", f"prompt tokens {MEANINGS[term]}") for term in TERMS}
_RATE_NAMES = {
    "block": "hit blocks / prompt blocks",
    "token": "cached tokens / prompt tokens",
    "per_request_mean": "mean over the requests of cached / prompt tokens",
    "steady": "cached / prompt tokens of the last 50 % of the requests",
}
_CURVES = {
    f"{policy}_{name}_rate": _rate(f"{_RATE_NAMES[name]}, {words}")
    for policy, words in (("lru", "LRU eviction as in vLLM"), ("opt", "Belady's optimum"))
    for name in DEFINITIONS
}

_REQUEST = {
    "request_id": _words("id of the request: conversation and turn"),
    "conversation_id": _words("id of the conversation"),
    "turn_index": Column("int64", "", "place of the turn in its conversation, from 0"),
    "prompt_tokens": _count("tokens", "tokens of the prompt"),
}

REQUESTS: Mapping[str, Column] = {
    **_REQUEST,
    "outcome": _words("completed or rejected"),
    "reason": _words("why the request was rejected"),
    "cached_tokens": _count("tokens", "prompt tokens that the first prefill found in the cache"),
    "host_cached_tokens": _count("tokens", "prompt tokens that the first prefill found in the host tier"),
    "reply_tokens": _count("tokens", "tokens of the reply"),
    "reply_tokens_cut": _count("tokens", "tokens cut from the recorded reply so that it fits max_model_len"),
    "preemptions": _count("events", "times that the request was preempted"),
    "prefill_index": Column("int64", "", "place in the order of first prefills, from 0"),
    "submitted_s": _seconds("when the request entered (its time, or when it could be sent)"),
    "first_scheduled_s": _seconds("when its first prefill began"),
    "first_token_s": _seconds("when its first token was ready"),
    "finished_s": _seconds("when its last token was ready"),
    "full_blocks": _count("blocks", "full blocks of the prompt; by the rules of block traces all listed blocks"),
    "hit_blocks": _count("blocks", "blocks of the prompt that the first prefill found in the cache"),
    "host_hit_blocks": _count("blocks", "blocks of the prompt that the first prefill found in the host tier"),
    "ideal_hit_blocks": _count("blocks", "blocks of the prompt that an unlimited cache holds, one request at a time"),
    "ttft_s": _seconds("time to first token: first_token_s - submitted_s"),
    "e2e_s": _seconds("time of the whole request: finished_s - submitted_s"),
    "tpot_s": _seconds("time per output token after the first"),
    **{name: column for name, column in _LOST.items() if name != "reused_tokens"},
    "evicted_by": _words(
        "id of the request that evicted the first block that this one lost; known if the requests ran one at a time"
    ),
    "logged_prompt_tokens": _count("tokens", "prompt tokens that the log states"),
    "logged_cached_tokens": _count("tokens", "cached tokens that the log states"),
    "replica": Column("int64", "", "number of the replica that completed the request, from 0 (fleet=replicas)"),
    "reference_cached_tokens": _count("tokens", "cached tokens of the second engine (experiment=agreement)"),
}

BLOCKS: Mapping[str, Column] = {
    "block": _words("digest of the block and of all blocks before it"),
    "depth": Column("int64", "", "place of the block in the prompt, from 0"),
    "hits": _count("hits", "requests that hit the block"),
    "conversations": _count("conversations", "conversations of these requests"),
    "first_hit_s": _seconds("time of the first hit"),
    "last_hit_s": _seconds("time of the last hit"),
}

PER_TURN: Mapping[str, Column] = {
    "turn_index": _REQUEST["turn_index"],
    "requests": _count("requests", "completed requests of the turn"),
    "prompt_blocks": _count("blocks", "blocks of their prompts"),
    "hit_blocks": _count("blocks", "blocks that their first prefills found in the cache"),
    "hit_rate": _rate("hit_blocks / prompt_blocks"),
}

LOSSES_PER_TURN: Mapping[str, Column] = {
    "turn_index": _REQUEST["turn_index"],
    "requests": PER_TURN["requests"],
    **_LOST,
}

CAPACITY: Mapping[str, Column] = {
    "blocks": _count("blocks", "usable blocks of the cache"),
    "tokens": _count("tokens", "tokens that fit in these blocks"),
    "gib": Column("float64", "GiB", "memory of these blocks for the engine's model (engine.kv_model, engine.model)"),
    **_CURVES,
}

BREAKS: Mapping[str, Column] = {
    "class": _words("class of the cause (docs/explain.md)"),
    "role": _words("role of the message that changes"),
    "place": _words("message, tool definition or template that changes"),
    "before": _words("text at the break in the earlier prompt"),
    "after": _words("text at the break in this prompt"),
    "requests": _count("requests", "requests that the cause breaks"),
    "tokens": _count("tokens", "prompt tokens behind these breaks"),
    "hit_rate_before": _rate("hit rate of the run"),
    "hit_rate_alone": _rate("hit rate with this cause undone"),
    "hit_rate_cumulative": _rate("hit rate with this cause and those above it undone"),
    "advice": _words("how to fix it"),
    "other_fix": _words("a second way to fix it"),
    "hit_rate_other_fix": _rate("hit rate with the second fix"),
}

BREAKS_PER_REQUEST: Mapping[str, Column] = {
    **_REQUEST,
    "group": _words("value of the field explain.by"),
    "reused_tokens": _LOST["reused_tokens"],
    "other_tokens": _count("tokens", "prompt tokens lost to the cache: block rounding, eviction and others"),
    "behind_tokens": _count("tokens", "prompt tokens behind the break that an earlier request had"),
    "new_tokens": _count("tokens", "prompt tokens that no earlier prompt or reply has"),
    "class": BREAKS["class"],
    "place": BREAKS["place"],
    "role": BREAKS["role"],
    "message": Column("int64", "", "place of the message in the prompt, from 0"),
    "start": _count("characters", "where the changed text begins in the message"),
    "end": _count("characters", "where the changed text ends in the message"),
    "token": Column("int64", "", "the first token that differs, from 0"),
    "earlier": _words("id of the earlier request that shares most"),
    "before": BREAKS["before"],
    "after": BREAKS["after"],
}

TABLES: Mapping[str, Mapping[str, Column]] = {
    "requests.parquet": REQUESTS,
    "blocks.parquet": BLOCKS,
    "per_turn.csv": PER_TURN,
    "losses_per_turn.csv": LOSSES_PER_TURN,
    "capacity.csv": CAPACITY,
    "breaks.parquet": BREAKS,
    "breaks_per_request.parquet": BREAKS_PER_REQUEST,
}
"""The columns of each table, by the name of its file; breaks.csv has those of breaks.parquet."""
