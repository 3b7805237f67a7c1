"""The requests by outcome, and the table of all requests."""

from dataclasses import fields
from typing import Any

from cachelab.metrics.base import NEVER, Metric
from cachelab.metrics.ideal import ideal_hit_blocks
from cachelab.metrics.latency import latency_columns
from cachelab.metrics.logged import logged_columns
from cachelab.metrics.lost_tokens import lost_columns
from cachelab.metrics.observation import Observation, memoize
from cachelab.request import RequestRecord


@memoize
def request_table(observation: Observation) -> dict[str, list[Any]]:
    """One row per request, in the order of the records, as columns.

    Every field of RequestRecord but `cached_known`, with `*_ns` as `*_s` (seconds of the engine's clock). Then
    `full_blocks`, `hit_blocks`, `host_hit_blocks` and `ideal_hit_blocks` of the prompt, `ttft_s`, `e2e_s` and `tpot_s`
    as in docs/metrics.md, and the tokens lost to each term of the losses (lost_tokens.py); all of these are None for a
    rejected request. `cached_tokens` and what follows from it are None where a server did not say it.
    `logged_prompt_tokens` and `logged_cached_tokens` if the log has usage, `replica` if there are replicas,
    `reference_cached_tokens` if a second engine ran.
    """
    columns: dict[str, list[Any]] = {}
    for field in fields(RequestRecord):
        values = [getattr(record, field.name) for record in observation.records]
        if field.name.endswith("_ns"):
            columns[f"{field.name.removesuffix('_ns')}_s"] = [None if ns is None else ns / 1e9 for ns in values]
        else:
            columns[field.name] = values
    known = columns.pop("cached_known")
    pairs = zip(columns["cached_tokens"], known, strict=True)
    columns["cached_tokens"] = [tokens if said else None for tokens, said in pairs]
    counts = {
        "full_blocks": observation.full_blocks,
        "hit_blocks": observation.hit_blocks if observation.hits_known else None,
        "host_hit_blocks": observation.host_hit_blocks,
        "ideal_hit_blocks": ideal_hit_blocks(observation),
    }
    for name, blocks in counts.items():
        columns[name] = [None] * len(known) if blocks is None else observation.per_record(blocks.tolist())
    columns |= latency_columns(observation.records)
    columns |= lost_columns(observation)
    columns |= logged_columns(observation)
    if observation.placement is not None:
        columns["replica"] = [None if replica < 0 else replica for replica in observation.placement.replicas]
    if observation.reference_records is not None:
        references = {record.request_id: record.cached_tokens for record in observation.reference_records}
        columns["reference_cached_tokens"] = [references.get(record.request_id) for record in observation.records]
    return columns


METRICS = (
    Metric(
        "requests/submitted",
        "requests",
        "Requests of the schedule: requests/completed + requests/rejected, otherwise the run fails.",
        lambda observation: float(len(observation.requests)),
        NEVER,
    ),
    Metric(
        "requests/completed",
        "requests",
        "Requests that ran to the end of their reply.",
        lambda observation: float(len(observation.completed)),
        NEVER,
    ),
    Metric(
        "requests/rejected",
        "requests",
        "Requests that could not run, each with a reason in requests.parquet.",
        lambda observation: float(len(observation.records) - len(observation.completed)),
        NEVER,
    ),
    Metric(
        "requests/preempted",
        "requests",
        "Requests that were preempted at least once: they lost their blocks and were prefilled again.",
        lambda observation: float(sum(record.preemptions > 0 for record in observation.records)),
        NEVER,
    ),
    Metric(
        "requests/preemptions",
        "events",
        "Preemptions of all requests together.",
        lambda observation: float(sum(record.preemptions for record in observation.records)),
        NEVER,
    ),
    Metric(
        "requests/replies_cut",
        "requests",
        "Completed requests whose recorded reply was cut so that prompt + reply fit max_model_len.",
        lambda observation: float(sum(record.reply_tokens_cut > 0 for record in observation.completed)),
        NEVER,
    ),
    Metric(
        "requests/prompt_tokens",
        "tokens",
        "Prompt tokens of the completed requests.",
        lambda observation: float(observation.prompt_tokens.sum()),
        NEVER,
    ),
    Metric(
        "requests/cached_tokens",
        "tokens",
        "Prompt tokens of the completed requests that their first prefills found in the cache.",
        lambda observation: float(observation.cached_tokens.sum()),
        NEVER,
    ),
)
