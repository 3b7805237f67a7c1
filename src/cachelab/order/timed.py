"""Requests enter at their times: an open loop."""

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.order.chains import chains
from cachelab.order.think_time import AnyThinkTime, think_seconds
from cachelab.request import NO_WAIT, Lane, Request, Schedule, Wait
from cachelab.strict_config import STRICT

MAX_SECONDS = 1e13
"""The largest time, as in trace files (dataset/trace_row.py): 300,000 years."""


@dataclass(frozen=True, config=STRICT)
class Timed:
    """One stage with one lane per conversation. Each request enters at its time, whether or not the engine is busy.

    `start` says when the first request of a lane enters. `trace`: at its recorded time, counted from the earliest one.
    `poisson`, `uniform`: in the order of the requests, `rate` per second, at random (`seed`) or evenly spaced.
    A request that `follows` another one enters its think time (`think_s`) after that reply, or at its recorded time
    (with `poisson` and `uniform`: as long after the lane's first request as recorded), whichever is later.
    `rate_scale` divides all times: 2 is twice as fast, infinity is all at once.
    """

    rate_scale: Annotated[float, Field(ge=1e-9)] = 1.0
    start: Literal["trace", "poisson", "uniform"] = "trace"
    rate: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0
    think_s: AnyThinkTime = "recorded"

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """A schedule with a wait for each request that does not enter at the start.

        Its numbers: `reordered_turns` were recorded before the turn that they follow, `turns_without_time` follow a
        turn and have neither a time nor a think time: both enter as soon as they can. Raises ConfigError if a lane has
        no time to start at, or if a time is not a finite number.
        """
        lanes = chains(requests)
        if not lanes:
            return Schedule(())
        _check_times(requests)
        think = think_seconds(requests, self.think_s)
        waits: dict[str, Wait] = {}
        for lane, start_s in zip(lanes, self._starts_s(lanes), strict=True):
            recorded_s = lane[0].arrival_s
            for index, request in enumerate(lane):
                after_s = 0.0
                if recorded_s is not None and request.arrival_s is not None:
                    after_s = max(0.0, request.arrival_s - recorded_s)
                think_s = think.get(request.id, 0.0) if index else 0.0
                waits[request.id] = Wait(self._ns(start_s + after_s), self._ns(think_s))
        waits = {id: wait for id, wait in waits.items() if wait != NO_WAIT}
        return Schedule((tuple(lanes),), waits, _numbers(lanes, think))

    def _starts_s(self, lanes: Sequence[Lane]) -> list[float]:
        """When the first request of each lane enters, in seconds from the start of the run."""
        if self.start == "uniform":
            return [number / self.rate for number in range(len(lanes))]
        if self.start == "poisson":
            rng = random.Random(self.seed)
            gaps = [rng.expovariate(self.rate) for _ in lanes[1:]]
            return list(accumulate(gaps, initial=0.0))
        times = [lane[0].arrival_s for lane in lanes]
        known = [time for time in times if time is not None]
        if len(known) < len(times):
            first = next(lane[0].id for lane in lanes if lane[0].arrival_s is None)
            missing = f"{len(times) - len(known)} of {len(times)} have none (the first is {first})"
            raise ConfigError(
                f"order.start: trace needs the time of each conversation's first request, and {missing}: set "
                "order.start=poisson or uniform"
            )
        return [time - min(known) for time in known]

    def _ns(self, seconds: float) -> int:
        return round(seconds / self.rate_scale * 1e9)


def _check_times(requests: Sequence[Request]) -> None:
    for request in requests:
        if request.arrival_s is not None and not abs(request.arrival_s) <= MAX_SECONDS:  # also refuses NaN
            raise ConfigError(
                f"order: request {request.id} has the time {request.arrival_s:g} s, not a number of at most "
                f"{MAX_SECONDS:.0e}: correct the dataset"
            )


def _numbers(lanes: Sequence[Lane], think: dict[str, float]) -> dict[str, float]:
    pairs = [pair for lane in lanes for pair in pairwise(lane)]
    reordered = sum(
        before.arrival_s is not None and now.arrival_s is not None and now.arrival_s < before.arrival_s
        for before, now in pairs
    )
    untimed = sum(now.arrival_s is None and now.id not in think for _, now in pairs)
    return {"reordered_turns": float(reordered), "turns_without_time": float(untimed)}
