"""Cache hits that the log states: those of the server that recorded it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cachelab.metrics.base import Metric, Ratio, Series
from cachelab.metrics.hits import Int64s
from cachelab.metrics.ideal import ideal_cached_tokens
from cachelab.metrics.observation import Observation


@dataclass(frozen=True, slots=True, eq=False)
class LoggedTokens:
    """The completed requests whose log gives both prompt tokens and cached tokens.

    `places` are their places in observation.completed. Shape of each: (num_logged,).
    """

    places: Int64s
    prompt_tokens: Int64s
    cached_tokens: Int64s

    @classmethod
    def of(cls, observation: Observation) -> "LoggedTokens":
        """Read the usage of the completed requests."""
        rows = [
            (place, usage.prompt_tokens, usage.cached_tokens)
            for place, record in enumerate(observation.completed)
            if (usage := observation.requests[record.request_id].usage) is not None
            and usage.prompt_tokens is not None
            and usage.cached_tokens is not None
        ]
        return cls(*np.asarray(rows, np.int64).reshape(-1, 3).T)

    @property
    def hit_rate(self) -> Ratio:
        """In tokens: logged cached tokens of logged prompt tokens."""
        return Ratio(int(self.cached_tokens.sum()), int(self.prompt_tokens.sum()))


def logged_rates(observation: Observation) -> tuple[Ratio, Ratio, Ratio] | None:
    """Three hit rates in tokens over the same requests: logged, of this run, and with an unlimited cache.

    None if no completed request logs both numbers.
    """
    logged = LoggedTokens.of(observation)
    if not len(logged.places):
        return None
    prompts = int(observation.prompt_tokens[logged.places].sum())
    run = int(observation.cached_tokens[logged.places].sum())
    ideal = int(ideal_cached_tokens(observation)[logged.places].sum())
    return logged.hit_rate, Ratio(run, prompts), Ratio(ideal, prompts)


def logged_columns(observation: Observation) -> dict[str, list[Any]]:
    """`logged_prompt_tokens` and `logged_cached_tokens` in the order of the records; no columns without any usage."""
    usages = [observation.requests[record.request_id].usage for record in observation.records]
    if not any(usages):
        return {}
    return {
        "logged_prompt_tokens": [usage.prompt_tokens if usage else None for usage in usages],
        "logged_cached_tokens": [usage.cached_tokens if usage else None for usage in usages],
    }


def _by_turn(observation: Observation) -> Mapping[int, float]:
    logged = LoggedTokens.of(observation)
    turns = np.asarray([observation.completed[place].turn_index for place in logged.places.tolist()], np.int64)
    indices, row = np.unique(turns, return_inverse=True)
    sums = np.zeros((2, len(indices)), np.int64)
    np.add.at(sums[0], row, logged.cached_tokens)
    np.add.at(sums[1], row, logged.prompt_tokens)
    rates = zip(indices.tolist(), *sums.tolist(), strict=True)
    return {turn: rate for turn, cached, prompt in rates if (rate := Ratio(cached, prompt).value) is not None}


METRICS = (
    Metric(
        "hit_rate/logged",
        "ratio",
        "Cached tokens / prompt tokens as the log states them, over the completed requests whose log has both.",
        lambda observation: LoggedTokens.of(observation).hit_rate.value,
        "no completed request logs both",
    ),
    Series(
        "turn/logged_hit_rate",
        "ratio",
        "hit_rate/logged over the completed requests of one turn index; the step is the turn index.",
        _by_turn,
        "the turn logs no prompt tokens with cached tokens",
    ),
)
