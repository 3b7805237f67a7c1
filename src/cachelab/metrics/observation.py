"""What metrics are computed from: the requests, their records, the engine's counters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cachelab.engine.base import EngineCounters, EngineRun
from cachelab.request import Request, RequestRecord


@dataclass(frozen=True, eq=False)
class Observation:
    """One run, seen from outside the engine."""

    requests: Mapping[str, Request]
    records: Sequence[RequestRecord]
    counters: EngineCounters

    @classmethod
    def of(cls, requests: Sequence[Request], run: EngineRun) -> "Observation":
        return cls({request.id: request for request in requests}, run.records, run.counters)

    @cached_property
    def completed(self) -> Sequence[RequestRecord]:
        """The completed requests in the order of their first prefills."""
        done = [record for record in self.records if record.outcome == "completed"]
        return sorted(done, key=lambda record: record.prefill_index or 0)
