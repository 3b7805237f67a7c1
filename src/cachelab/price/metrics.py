"""The metrics that a run has if a price is given."""

from collections.abc import Callable

from cachelab.metrics.base import Metric, Ratio
from cachelab.metrics.hit_rate import NONE_COMPLETED
from cachelab.metrics.observation import Observation
from cachelab.price.base import Price
from cachelab.price.prompt_tokens import PromptTokens

_UNPRICED = f"{NONE_COMPLETED}, or price.written has no price for the lifetime of the run's blocks"


def price_metrics(price: Price) -> tuple[Metric, ...]:
    """The metrics `price/*`: estimated amounts in the price's currency."""

    def as_run(observation: Observation) -> float | None:
        return price.cost(PromptTokens.of(observation))

    def uncached(observation: Observation) -> float | None:
        return price.cost(PromptTokens.uncached(observation))

    def ideal(observation: Observation) -> float | None:
        return price.cost(PromptTokens.ideal(observation))

    def per_1000(observation: Observation) -> float | None:
        run = as_run(observation)
        return None if run is None else 1000 * run / len(observation.completed)

    def expired(observation: Observation) -> float | None:
        if observation.counters.lifetime_s is None:
            return None
        return _less(as_run(observation), price.cost(PromptTokens.without_expiry(observation)))

    def saved(observation: Observation) -> float | None:
        whole, less = uncached(observation), _less(uncached(observation), as_run(observation))
        return None if whole is None or less is None else Ratio(less, whole).value

    unit = f"{price.currency} (estimated)"
    amounts = {
        "price/prompts": (
            "The price of the prompts of the completed requests, as they were cached.",
            as_run,
        ),
        "price/prompts_uncached": ("The price of the same prompts without a prefix cache.", uncached),
        "price/prompts_ideal": ("The price of the same prompts with an unlimited cache, one request at a time.", ideal),
        "price/per_1000_requests": ("price/prompts * 1,000 / completed requests.", per_1000),
    }
    found = [
        Metric(name, unit, definition, _if_completed(amount), NONE_COMPLETED if amount is uncached else _UNPRICED)
        for name, (definition, amount) in amounts.items()
    ]
    share = Metric(
        "price/saved_share",
        "ratio",
        "(price/prompts_uncached - price/prompts) / price/prompts_uncached, below 0 if storing costs more.",
        _if_completed(saved),
        f"{_UNPRICED}, or price/prompts_uncached is 0",
    )
    expiry = Metric(
        "price/expired",
        unit,
        "price/prompts minus its value if the tokens of losses/expired had been cached: what the expiry costs.",
        _if_completed(expired),
        f"{_UNPRICED}, or blocks do not expire (engine/policy=ttl)",
    )
    return (*found, share, expiry)


def _less(amount: float | None, other: float | None) -> float | None:
    return None if amount is None or other is None else amount - other


def _if_completed(compute: Callable[[Observation], float | None]) -> Callable[[Observation], float | None]:
    """The function, with None for a run in which no request completed."""
    return lambda observation: compute(observation) if observation.completed else None
