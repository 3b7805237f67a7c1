"""The table of what the prompts cost."""

from cachelab.pipeline import Result
from cachelab.report.section import Section, money, percent
from cachelab.tracking.description import RunDescription

_LABELS = {
    "prompts": "as run",
    "expired": "of this, for expired blocks",
    "prompts_uncached": "without a prefix cache",
    "prompts_ideal": "with an unlimited cache",
    "per_1000_requests": "as run, per 1,000 requests",
}


def prices(result: Result, description: RunDescription) -> Section:
    """What the prompts cost, if a price is given; a note says why there is no price as run."""
    values = result.numbers.values
    currency = (description.config.get("price") or {}).get("currency", "")
    rows = [
        (label, f"{currency} {money(value)}")
        for name, label in _LABELS.items()
        if (value := values.get(f"price/{name}")) is not None
    ]
    if (saved := values.get("price/saved_share")) is not None:
        rows.append(("saved by the cache", percent(saved)))
    note = _unpriced(result) if rows and "price/prompts" not in values else ""
    return Section("Price of the prompts (estimated)", ("prompts", "price"), rows, note)


def _unpriced(result: Result) -> str:
    """Why the written tokens have no price: those by lifetime do not cover the lifetime of the run's blocks."""
    counters = result.run.counters
    if counters.lifetime_s is None:
        return (
            f"No price as run: price.written is by lifetime, and these blocks never expire (policy {counters.policy}): "
            "set one number, or engine/policy=ttl."
        )
    return (
        f"No price as run: price.written has no lifetime of {counters.lifetime_s:,g} s or more, for which these blocks "
        "are kept: add one."
    )
