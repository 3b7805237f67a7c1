"""What every engine must do, whatever computes its tokens."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cachelab.engine.agreement import AgreementEngine
from cachelab.engine.base import Engine, EngineRun
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.engine.vllm.backends import CpuEngine, CudaEngine
from cachelab.message import Isolation
from cachelab.order.all_at_once import AllAtOnce
from cachelab.order.base import Order
from cachelab.order.by_conversation import ByConversation
from cachelab.order.by_turn import ByTurn
from cachelab.order.sessions import Sessions
from cachelab.request import Request, RequestRecord
from workloads import one_lane, random_requests, request

SIM: dict[str, Any] = {"block_size": 8, "max_model_len": 256, "num_blocks": 40}
CPU: dict[str, Any] = {"block_size": 32, "max_model_len": 256, "num_blocks": 10}
ENGINES: dict[str, Callable[[], Engine]] = {
    "replay": lambda: ReplayEngine(**SIM),
    "sim, one at a time": lambda: SimEngine(**SIM, max_num_seqs=1),
    "sim, four at a time": lambda: SimEngine(**SIM, max_num_seqs=4),
    "sim, no cache": lambda: SimEngine(**(SIM | {"num_blocks": 200}), max_num_seqs=4, enable_prefix_caching=False),
    "sim, host tier": lambda: SimEngine(**SIM, max_num_seqs=4, host_cache_gib=1.0, offload_prompt_only=False),
    "sim, closed loop": lambda: SimEngine(**SIM, max_num_seqs=4, history="generated"),
    "cpu, one at a time": lambda: CpuEngine(**CPU, max_num_seqs=1),
    "cpu, four at a time": lambda: CpuEngine(**CPU, max_num_seqs=4),
    "cpu, forced": lambda: CpuEngine(**CPU, max_num_seqs=4, history="forced"),
    "cpu, closed loop": lambda: CpuEngine(**CPU, max_num_seqs=4, history="generated"),
    "cpu and sim": lambda: AgreementEngine(real=CpuEngine(**CPU, max_num_seqs=1)),
    "cuda": lambda: CudaEngine(max_model_len=256, num_blocks=20),
}
ORDERS = [AllAtOnce(), ByConversation(), ByTurn(), Sessions(num_users=3, think_s=0.005)]
MARKS = {"cuda": [pytest.mark.gpu]}


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name, [])) for name in ENGINES], ids=str)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]()


def workload(engine: Engine) -> list[Request]:
    """Chats, fewer and shorter ones where a model computes, and one request that no engine here has room for."""
    chats = random_requests(7, 12) if engine.name == "sim" else random_requests(7, 6, max_reply=9)
    return [*chats, request("long", 0, range(300), [1, 2, 3])]


_runs: dict[str, tuple[Sequence[Request], EngineRun]] = {}


@pytest.fixture(params=ORDERS, ids=str)
def run(engine: Engine, request: pytest.FixtureRequest) -> tuple[Sequence[Request], EngineRun]:
    """One run of each engine in each order, which all tests look at."""
    key = f"{engine} {request.param}"
    if key not in _runs:
        order: Order = request.param
        schedule = order.arrange(workload(engine))
        _runs[key] = list(schedule), engine.run(schedule, lambda ended: None)
    return _runs[key]


Ran = tuple[Sequence[Request], EngineRun]


def completed(run: EngineRun) -> list[RequestRecord]:
    return [record for record in run.records if record.outcome == "completed"]


def untimed(record: RequestRecord) -> RequestRecord:
    return replace(record, submitted_ns=None, first_scheduled_ns=None, first_token_ns=None, finished_ns=None)


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


def test_engine_says_what_ran(run: Ran) -> None:
    requests, result = run
    ran = requests if result.requests is None else result.requests
    assert [entry.id for entry in ran] == [entry.id for entry in requests]
    for entry, record in zip(ran, result.records, strict=True):
        if record.outcome == "completed":
            assert len(entry.prompt_ids) == record.prompt_tokens
            assert len(entry.reply_ids) == record.reply_tokens


def test_engine_notes_whose_replies_the_prompts_repeat(run: Ran) -> None:
    _, result = run
    assert any("replies" in note.lower() for note in result.notes)


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
    caching = result.counters.queries_tokens != 0
    assert result.counters.hits_tokens == sum(record.cached_tokens for record in done)
    assert result.counters.queries_tokens == (sum(record.prompt_tokens for record in done) if caching else 0)


def test_engine_uses_no_more_than_all_blocks(run: Ran) -> None:
    _, result = run
    assert result.counters.kv_usage_max is not None
    assert 0 < result.counters.kv_usage_max <= 1


def test_engine_run_twice_gives_the_same_records(engine: Engine) -> None:
    schedule = Sessions(num_users=3).arrange(workload(engine))
    first = engine.run(schedule, lambda ended: None)
    again = engine.run(schedule, lambda ended: None)
    if first.counters.clock == "simulated":
        assert again.records == first.records
    assert list(map(untimed, again.records)) == list(map(untimed, first.records))


def test_engine_reports_progress_for_every_request(engine: Engine) -> None:
    ended: list[int] = []
    schedule = AllAtOnce().arrange(workload(engine))
    engine.run(schedule, ended.append)
    assert sum(ended) == len(schedule)


def test_engine_shares_blocks_only_with_equal_isolation(engine: Engine) -> None:
    """One prompt of 33 tokens, sent once with each isolation and then once more: only the second one hits."""
    isolations = (None, Isolation("a"), Isolation(lora="a"), Isolation(model="a"))
    requests = [
        replace(request(f"c{time}-{number}", 0, range(33), [1, 2]), isolation=isolation)
        for time in range(2)
        for number, isolation in enumerate(isolations)
    ]
    result = engine.run(one_lane(requests), lambda ended: None)
    caching = result.counters.queries_tokens != 0
    again = 32 // result.counters.block_size * result.counters.block_size if caching else 0
    expected = [0] * len(isolations) + [again] * len(isolations)
    for records in (result.records, result.reference_records):
        assert records is None or [record.cached_tokens for record in records] == expected
