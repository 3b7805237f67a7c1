"""The stages strung together, without Hydra, MLflow or vLLM."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from cachelab.conversation import Conversation
from cachelab.dataset.base import LoadedDataset
from cachelab.engine.base import EngineCounters, EngineRun, Progress
from cachelab.errors import ConfigError, EngineError
from cachelab.filter.thresholds import Thresholds
from cachelab.metrics.requests import METRICS
from cachelab.order.by_conversation import ByConversation
from cachelab.order.timed import Timed
from cachelab.pipeline import Parts, prepare, run
from cachelab.request import Request, RequestRecord, Schedule
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.mistral import Mistral
from cachelab.trace.multi_turn import MultiTurn

CHATS = [Conversation.of_texts("a", [("one", "1"), ("two", "2")]), Conversation.of_texts("b", [("three", "3")])]


@dataclass
class Listed:
    def load(self) -> LoadedDataset:
        return LoadedDataset("listed", "here", "0" * 64, CHATS, {"conversations": 2})


@dataclass
class Forgetful:
    """An engine that loses the last `lost` records."""

    lost: int = 0
    name = "forgetful"
    version = None
    block_size = 4

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        records = [
            RequestRecord(
                entry.id, entry.conversation_id, entry.turn_index, "completed", len(entry.prompt_ids),
                prefill_index=i, submitted_ns=i, first_scheduled_ns=i, first_token_ns=i, finished_ns=i,
            )
            for i, entry in enumerate(schedule)
        ]  # fmt: skip
        return EngineRun(records[: len(records) - self.lost], EngineCounters("simulated", 4, 1, 1, 0.0, 0, 0, 0, 0))


def tokenize(dataset: LoadedDataset) -> Sequence[TokenizedConversation]:
    return [conversation.tokenized(Mistral()) for conversation in dataset.conversations]  # type: ignore[union-attr]


PARTS = Parts(Listed(), Mistral(), tokenize, Thresholds(), MultiTurn(), ByConversation(), Forgetful(), METRICS)


def nothing(ended: int) -> None:
    """Progress that nobody watches."""


def test_prepare_gives_the_schedule_and_every_stages_numbers() -> None:
    workload = prepare(PARTS)
    assert [request.id for request in workload.schedule] == ["a/0", "a/1", "b/0"]
    assert workload.numbers["dataset/conversations"] == 2
    assert workload.numbers["filter/conversations_kept"] == 2
    assert workload.numbers["trace/prefix_breaks"] == 0


def test_prepare_of_a_filter_that_keeps_nothing_says_what_dropped_it() -> None:
    with pytest.raises(ConfigError, match=r"keeps none of 2 conversations \(dropped_min_turns 2\)"):
        prepare(replace(PARTS, filter=Thresholds(min_turns=3)))


def test_data_without_times_are_refused_before_they_are_tokenized() -> None:
    def never(dataset: LoadedDataset) -> Sequence[TokenizedConversation]:
        raise AssertionError

    with pytest.raises(ConfigError, match=r"order\.start: .* none of the 2 conversations of here has one: set order"):
        prepare(replace(PARTS, order=Timed(), tokenize=never))
    assert len(prepare(replace(PARTS, order=Timed(start="uniform"))).requests) == 3


def test_times_of_some_conversations_are_left_to_the_order() -> None:
    late = replace(CHATS[1], turns=(replace(CHATS[1].turns[0], timestamp_s=5.0),))

    @dataclass
    class Mixed:
        def load(self) -> LoadedDataset:
            return LoadedDataset("mixed", "here", "0" * 64, [CHATS[0], late], {})

    with pytest.raises(ConfigError, match=r"1 of 2 have none \(the first is a/0\)"):
        prepare(replace(PARTS, dataset=Mixed(), order=Timed()))
    kept = prepare(replace(PARTS, dataset=Mixed(), order=Timed(), filter=Thresholds(max_turns=1)))
    assert [request.id for request in kept.requests] == ["b/0"]


class LosesOne:
    def arrange(self, requests: Sequence[Request]) -> Schedule:
        return ByConversation().arrange(requests[1:])


def test_prepare_of_an_order_that_loses_a_request_fails() -> None:
    with pytest.raises(EngineError, match="LosesOne"):
        prepare(replace(PARTS, order=LosesOne()))


def test_run_measures_and_keeps_the_workloads_numbers() -> None:
    result = run(PARTS, prepare(PARTS), nothing)
    assert result.numbers.values["requests/submitted"] == 3
    assert result.numbers.values["dataset/conversations"] == 2


def test_run_of_an_engine_that_loses_a_request_fails() -> None:
    with pytest.raises(EngineError, match="3 requests were submitted, 2 records came back"):
        run(replace(PARTS, engine=Forgetful(lost=1)), prepare(PARTS), nothing)
