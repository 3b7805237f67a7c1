"""One run, from a dataset to numbers, without Hydra, MLflow and vLLM."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cachelab.dataset.base import Dataset, LoadedDataset
from cachelab.engine.base import Engine, EngineRun, Progress
from cachelab.engine.server.tokenizer_note import tokenizer_note
from cachelab.errors import ConfigError, EngineError, NothingKept
from cachelab.filter.base import Filter
from cachelab.fleet.base import Fleet
from cachelab.fleet.single import Single
from cachelab.mapped_array import give_back_freed
from cachelab.metrics.base import AnyMetric, Numbers, measure
from cachelab.metrics.observation import Observation
from cachelab.order.arrival_note import arrival_note
from cachelab.order.base import Order
from cachelab.order.recorded_times import refuse_untimed
from cachelab.price.base import Price
from cachelab.request import Request, Schedule
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.base import Tokenizer
from cachelab.trace.base import Trace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The parts of a run. `tokenize` calls the tokenizer through its cache. `price` is None if none is given."""

    dataset: Dataset
    tokenizer: Tokenizer
    tokenize: Callable[[LoadedDataset], Sequence[TokenizedConversation]]
    filter: Filter
    trace: Trace
    order: Order
    engine: Engine
    metrics: Sequence[AnyMetric]
    price: Price | None = None
    fleet: Fleet = field(default_factory=Single)


@dataclass(frozen=True)
class Workload:
    """The requests for an engine, their schedule, and the numbers of the earlier stages.

    `conversations` are those that the filter kept, of whose turns the requests were made.
    """

    dataset: LoadedDataset
    conversations: Sequence[TokenizedConversation]
    requests: Sequence[Request]
    schedule: Schedule
    numbers: dict[str, float]


@dataclass(frozen=True)
class Result:
    """One finished run."""

    workload: Workload
    run: EngineRun
    observation: Observation
    numbers: Numbers


def prepare(parts: Parts) -> Workload:
    """Load, tokenize, filter and schedule the requests.

    Raises DatasetError, TokenizerError, or ConfigError if no request is left (NothingKept if the filter keeps none).
    """
    dataset = parts.dataset.load()
    give_back_freed()  # a reader frees large arrays of rows that it has turned into others
    log.info("dataset %s: %d conversations from %s", dataset.name, len(dataset.conversations), dataset.source)
    for note in dataset.notes:
        log.info("%s", note)
    refuse_untimed(parts.order, dataset)
    tokenized = parts.tokenize(dataset)
    filtered = parts.filter.apply(tokenized)
    log.info("filter: %d of %d conversations kept", len(filtered.kept), len(tokenized))
    numbers = {f"dataset/{key}": float(count) for key, count in dataset.counts.items()}
    numbers |= {f"filter/{key}": float(value) for key, value in filtered.numbers.items()}
    if not tokenized:
        raise ConfigError(f"dataset: {dataset.source} holds no conversation: choose a dataset that does")
    if not filtered.kept:
        why = ", ".join(f"{k} {v:g}" for k, v in filtered.numbers.items() if k.startswith("dropped_") and v)
        raise NothingKept(
            f"filter: keeps none of {len(tokenized)} conversations ({why}): raise that limit, or set filter=none",
            numbers,
        )
    workload = arranged(parts, dataset, filtered.kept, numbers)
    found = (
        arrival_note(parts.order, workload.conversations), tokenizer_note(parts.engine, parts.tokenizer, dataset)
    )  # fmt: skip
    notes = [note for note in found if note is not None]
    for note in notes:
        log.info("%s", note)
    return replace(workload, dataset=replace(dataset, notes=[*dataset.notes, *notes])) if notes else workload


def arranged(
    parts: Parts,
    dataset: LoadedDataset,
    conversations: Sequence[TokenizedConversation],
    numbers: Mapping[str, float],
) -> Workload:
    """The workload of conversations that the filter kept; `numbers` are those of the earlier stages.

    Raises EngineError if the schedule does not hold each request exactly once.
    """
    trace = parts.trace.build(conversations)
    schedule = parts.order.arrange(trace.requests)
    if sorted(request.id for request in schedule) != sorted(request.id for request in trace.requests):
        raise EngineError(f"order {type(parts.order).__name__}: its schedule does not hold each request exactly once")
    log.info("trace: %d requests in %d stages", len(schedule), len(schedule.stages))
    all_numbers = {
        **numbers,
        **{f"trace/{key}": float(value) for key, value in trace.numbers.items()},
        **{f"order/{key}": float(value) for key, value in schedule.numbers.items()},
    }
    return Workload(dataset, conversations, trace.requests, schedule, all_numbers)


def observe(parts: Parts, workload: Workload, progress: Progress) -> tuple[EngineRun, Observation]:
    """Run the workload. Raises EngineError if the engine does not return one record per request."""
    engine_run = parts.fleet.run(parts.engine, workload.schedule, progress)
    records = engine_run.records
    if [record.request_id for record in records] != [request.id for request in workload.schedule]:
        raise EngineError(f"{len(workload.schedule)} requests were submitted, {len(records)} records came back")
    give_back_freed()
    return engine_run, Observation.of(workload.requests, engine_run)


def run(parts: Parts, workload: Workload, progress: Progress) -> Result:
    """Run the workload and measure it. Raises EngineError if the engine does not return one record per request."""
    return measured(parts, workload, *observe(parts, workload, progress))


def measured(parts: Parts, workload: Workload, engine_run: EngineRun, observation: Observation) -> Result:
    """The result of a workload that ran: its metrics, and the numbers of the earlier stages."""
    found = measure(parts.metrics, observation)
    return Result(workload, engine_run, observation, Numbers({**found.values, **workload.numbers}, found.series))
