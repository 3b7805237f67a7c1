"""What several metrics need of a run and is dear to work out: worked out once a run."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from cachelab.metrics.observation import Observation

Value = TypeVar("Value")


def once(compute: Callable[[Observation], Value]) -> Callable[[Observation], Value]:
    """The function, its value kept for as long as the observation lives."""
    kept: WeakKeyDictionary[Observation, Value] = WeakKeyDictionary()

    @wraps(compute)
    def look_up(observation: Observation) -> Value:
        if observation not in kept:
            kept[observation] = compute(observation)
        return kept[observation]

    return look_up
