"""Agreement: whether a second engine found the same blocks in its cache for the same requests."""

from collections.abc import Sequence
from dataclasses import dataclass

from cachelab.metrics.base import Metric, Ratio
from cachelab.metrics.hit_rate import NO_BLOCK
from cachelab.metrics.observation import Observation

_NO_SECOND = "no second engine ran"
_NOT_COMPARED = f"{_NO_SECOND}, or a server does not say its cached tokens"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A request whose first prefill found other cached tokens on the second engine (None: it did not run there)."""

    request_id: str
    cached_tokens: int
    reference_cached_tokens: int | None

    @property
    def tokens(self) -> int:
        """The difference in tokens."""
        return abs(self.cached_tokens - (self.reference_cached_tokens or 0))


def mismatches(observation: Observation) -> Sequence[Mismatch] | None:
    """The completed requests that differ, in the order of their first prefills.

    None if no second engine ran, or if a server did not say its cached tokens.
    """
    if observation.reference_records is None or not observation.hits_known:
        return None
    references = {
        record.request_id: record.cached_tokens
        for record in observation.reference_records
        if record.outcome == "completed"
    }
    pairs = (
        Mismatch(record.request_id, record.cached_tokens, references.get(record.request_id))
        for record in observation.completed
    )
    return [pair for pair in pairs if pair.cached_tokens != pair.reference_cached_tokens]


def reference(observation: Observation) -> Ratio:
    """Blocks that the second engine hit of the full prompt blocks of the requests that it completed; 0 of 0 without it.

    The denominator is that of hit_rate/first_prefill, unless the second engine did not complete a request.
    """
    if observation.reference_records is None:
        return Ratio(0, 0)
    block_size = observation.counters.block_size
    done = [record for record in observation.reference_records if record.outcome == "completed"]
    return Ratio(
        sum(record.cached_tokens // block_size for record in done),
        sum(record.prompt_tokens // block_size for record in done),
    )


def _requests(observation: Observation) -> float | None:
    return None if observation.reference_records is None else float(len(observation.completed))


def _mismatches(observation: Observation) -> float | None:
    found = mismatches(observation)
    return None if found is None else float(len(found))


def _worst(observation: Observation) -> float | None:
    found = mismatches(observation)
    return None if found is None else float(max((pair.tokens for pair in found), default=0))


METRICS = (
    Metric(
        "agreement/requests",
        "requests",
        "Completed requests that a second engine also ran, with the same prompts and replies.",
        _requests,
        _NO_SECOND,
    ),
    Metric(
        "agreement/mismatches",
        "requests",
        "Requests whose cached tokens at the first prefill differ between the two engines.",
        _mismatches,
        _NOT_COMPARED,
    ),
    Metric(
        "agreement/cached_tokens_apart_max",
        "tokens",
        "Largest difference of one request's cached tokens between the two engines.",
        _worst,
        _NOT_COMPARED,
    ),
    Metric(
        "agreement/hit_rate",
        "ratio",
        "hit_rate/first_prefill of the second engine: blocks that it hit / full prompt blocks of its completed "
        "requests.",
        lambda observation: reference(observation).value,
        f"{_NO_SECOND}, or {NO_BLOCK}",
    ),
)
