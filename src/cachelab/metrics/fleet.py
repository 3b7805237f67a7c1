"""Fleets: how the requests and the blocks of a run are spread over its replicas."""

from collections.abc import Mapping

import numpy as np

from cachelab.metrics.base import Metric, Ratio, Series
from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation

_ONE_ENGINE = "the run has no replicas (`fleet=single`)"


def replica_table(observation: Observation) -> dict[str, Int64s]:
    """One row per replica, as columns of int64. Shape of each: (num_replicas,). Empty without replicas.

    `requests`, `prompt_blocks`, `hit_blocks` and `computed_tokens` of the requests that the replica completed. Computed
    tokens are the prompt tokens that were in no cache, and the reply tokens.
    """
    placement = observation.placement
    total = 0 if placement is None else placement.num_replicas
    columns = {
        name: np.zeros(total, np.int64) for name in ("requests", "prompt_blocks", "hit_blocks", "computed_tokens")
    }
    columns = {"replica": np.arange(total), **columns}
    if placement is None:
        return columns
    replicas = observation.replicas
    host = np.asarray([record.host_cached_tokens for record in observation.completed], np.int64)
    replies = np.asarray([record.reply_tokens for record in observation.completed], np.int64)
    np.add.at(columns["requests"], replicas, 1)
    np.add.at(columns["prompt_blocks"], replicas, observation.full_blocks)
    np.add.at(columns["hit_blocks"], replicas, observation.hit_blocks)
    computed = observation.prompt_tokens - observation.cached_tokens - host + replies
    np.add.at(columns["computed_tokens"], replicas, computed)
    return columns


def imbalance(observation: Observation) -> Ratio:
    """The computed tokens of the busiest replica, and the mean of all replicas; 0 of 0 without replicas."""
    computed = replica_table(observation)["computed_tokens"]
    return Ratio(int(computed.max(initial=0)), float(computed.mean())) if len(computed) else Ratio(0, 0)


def _hit_rate(observation: Observation) -> Mapping[int, float]:
    table = replica_table(observation)
    cells = zip(*(table[name].tolist() for name in ("replica", "hit_blocks", "prompt_blocks")), strict=True)
    return {replica: hit / total for replica, hit, total in cells if total}


def _requests(observation: Observation) -> Mapping[int, float]:
    table = replica_table(observation)
    return {replica: float(n) for replica, n in zip(table["replica"].tolist(), table["requests"].tolist(), strict=True)}


def _duplicates(observation: Observation) -> float | None:
    placement = observation.placement
    return None if placement is None else Ratio(placement.duplicate_blocks, placement.held_blocks).value


METRICS = (
    Metric(
        "fleet/replicas",
        "replicas",
        "Replicas of the engine, also those that were added or left during the run.",
        lambda observation: None if observation.placement is None else float(observation.placement.num_replicas),
        _ONE_ENGINE,
    ),
    Metric(
        "fleet/imbalance",
        "ratio",
        "Computed tokens of the busiest replica / their mean over all replicas; computed are the prompt tokens that "
        "were in no cache, and the reply tokens, of the completed requests.",
        lambda observation: imbalance(observation).value,
        f"{_ONE_ENGINE}, or no request completed",
    ),
    Metric(
        "fleet/duplicate_blocks_share",
        "ratio",
        "Of the different blocks in the caches at the end of the run, the share that more than one replica holds.",
        _duplicates,
        f"{_ONE_ENGINE}, or the caches are empty",
    ),
    Metric(
        "fleet/resent_requests",
        "requests",
        "How often a request was sent again because its replica was killed.",
        lambda observation: None if observation.placement is None else float(observation.placement.resent),
        _ONE_ENGINE,
    ),
    Series(
        "fleet/replica_hit_rate",
        "ratio",
        "hit_rate/first_prefill of the requests that one replica completed; the step is the replica's number.",
        _hit_rate,
        f"{_ONE_ENGINE}, or the prompts of the replica have no full block",
    ),
    Series(
        "fleet/replica_requests",
        "requests",
        "Requests that one replica completed; the step is the replica's number.",
        _requests,
        _ONE_ENGINE,
    ),
)
