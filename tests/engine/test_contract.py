"""What every engine must do, whatever computes its tokens."""

from collections.abc import Callable, Sequence

import pytest

from cachelab.engine.base import Engine, EngineRun
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.order.all_at_once import AllAtOnce
from cachelab.order.base import Order
from cachelab.order.by_conversation import ByConversation
from cachelab.order.by_turn import ByTurn
from cachelab.order.sessions import Sessions
from cachelab.request import Request, RequestRecord
from workloads import random_requests, request

ENGINES: dict[str, Callable[[], Engine]] = {
    "replay": lambda: ReplayEngine(block_size=8, max_model_len=256, num_blocks=40),
    "sim, one at a time": lambda: SimEngine(block_size=8, max_model_len=256, max_num_seqs=1, num_blocks=40),
    "sim, four at a time": lambda: SimEngine(block_size=8, max_model_len=256, max_num_seqs=4, num_blocks=40),
    "sim, no cache": lambda: SimEngine(
        block_size=8, max_model_len=256, max_num_seqs=4, num_blocks=200, enable_prefix_caching=False
    ),
}
ORDERS = [AllAtOnce(), ByConversation(), ByTurn(), Sessions(num_users=3)]


@pytest.fixture(params=ENGINES, ids=str)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]()


def workload() -> list[Request]:
    """Twelve chats, and one request that no engine here has room for."""
    return [*random_requests(7, 12), request("long", 0, range(300), [1, 2, 3])]


@pytest.fixture(params=ORDERS, ids=str)
def run(engine: Engine, request: pytest.FixtureRequest) -> tuple[Sequence[Request], EngineRun]:
    order: Order = request.param
    schedule = order.arrange(workload())
    return list(schedule), engine.run(schedule, lambda ended: None)


Ran = tuple[Sequence[Request], EngineRun]


def completed(run: EngineRun) -> list[RequestRecord]:
    return [record for record in run.records if record.outcome == "completed"]


def test_engine_gives_a_record_for_each_request_in_order(run: Ran) -> None:
    requests, result = run
    assert [record.request_id for record in result.records] == [entry.id for entry in requests]


def test_engine_rejects_what_has_no_room_and_says_why(run: Ran) -> None:
    _, result = run
    rejected = [record for record in result.records if record.outcome == "rejected"]
    assert [record.request_id for record in rejected] == ["long/0"]
    assert "300 tokens" in (rejected[0].reason or "")
    assert "max_model_len 256" in (rejected[0].reason or "")
    assert rejected[0].prefill_index is None
    assert rejected[0].first_scheduled_ns is None


def test_engine_generates_each_reply_in_full(run: Ran) -> None:
    requests, result = run
    replies = {entry.id: len(entry.reply_ids) for entry in requests}
    assert all(record.reply_tokens == replies[record.request_id] for record in completed(result))


def test_engine_caches_whole_blocks_and_never_the_last_token(run: Ran) -> None:
    _, result = run
    for record in completed(result):
        assert record.cached_tokens % result.counters.block_size == 0
        assert record.cached_tokens <= record.prompt_tokens - 1


def test_engine_runs_turns_one_after_another(run: Ran) -> None:
    requests, result = run
    records = {record.request_id: record for record in result.records}
    for entry in requests:
        if entry.follows is not None:
            before, now = records[entry.follows], records[entry.id]
            assert before.finished_ns is not None
            assert now.submitted_ns is not None
            assert before.finished_ns <= now.submitted_ns


def test_engine_times_are_in_order(run: Ran) -> None:
    _, result = run
    for record in completed(result):
        times = (record.submitted_ns, record.first_scheduled_ns, record.first_token_ns, record.finished_ns)
        assert None not in times
        assert list(times) == sorted(times)  # type: ignore[type-var]


def test_engine_numbers_first_prefills_without_a_gap(run: Ran) -> None:
    _, result = run
    assert sorted(record.prefill_index or 0 for record in completed(result)) == list(range(len(completed(result))))


def test_engine_counters_equal_the_sum_of_the_records(run: Ran) -> None:
    _, result = run
    done = completed(result)
    caching = result.counters.queries_tokens > 0
    assert result.counters.hits_tokens == sum(record.cached_tokens for record in done)
    assert result.counters.queries_tokens == (sum(record.prompt_tokens for record in done) if caching else 0)


def test_engine_uses_no_more_than_all_blocks(run: Ran) -> None:
    _, result = run
    assert 0 < result.counters.kv_usage_max <= 1


def test_engine_run_twice_gives_the_same_records(engine: Engine) -> None:
    schedule = Sessions(num_users=3).arrange(workload())
    first = engine.run(schedule, lambda ended: None)
    assert engine.run(schedule, lambda ended: None).records == first.records


def test_engine_reports_progress_for_every_request(engine: Engine) -> None:
    ended: list[int] = []
    schedule = AllAtOnce().arrange(workload())
    engine.run(schedule, ended.append)
    assert sum(ended) == len(schedule)
