"""A live server as an engine: what it sends, what it records, and what it says of faults."""

from dataclasses import replace

import pytest
from scripted_server import CACHED, scripted

from cachelab.engine.agreement import AgreementEngine
from cachelab.engine.base import EngineRun
from cachelab.engine.server.server_engine import ServerEngine
from cachelab.errors import ConfigError, EngineError
from cachelab.message import Isolation
from cachelab.order.by_conversation import ByConversation
from cachelab.order.by_turn import ByTurn
from cachelab.request import Request, Schedule
from workloads import conversation, one_lane, request


def chat(name: str = "c") -> list[Request]:
    """Two turns, of 20 and of 30 prompt tokens, with replies of 4 and 2."""
    return conversation(name, (range(20), range(50, 54)), (range(6), range(60, 62)))


def run(engine: ServerEngine, schedule: Schedule) -> EngineRun:
    return engine.run(schedule, lambda ended: None)


def test_prompts_are_sent_as_token_ids_and_replies_recorded() -> None:
    with scripted() as server:
        result = run(ServerEngine(url=server.url), one_lane(chat()))
    assert [list(one) for one in server.prompts] == [list(one.prompt_ids) for one in chat()]
    assert [(body["max_tokens"], body["ignore_eos"]) for body in server.bodies] == [(4, True), (2, True)]
    assert [(one.cached_tokens, one.reply_tokens) for one in result.records] == [(CACHED, 4), (CACHED, 2)]
    assert (result.counters.queries_tokens, result.counters.hits_tokens) == (50, 2 * CACHED)
    assert (result.counters.num_blocks, result.counters.clock, server.resets) == (99, "wall", 1)


def test_generated_history_repeats_the_ids_that_the_server_gave() -> None:
    with scripted() as server:
        result = run(ServerEngine(url=server.url, history="generated"), one_lane(chat()))
    assert server.prompts[1] == [*range(20), *range(4), *range(6)]
    assert result.requests is not None
    assert result.requests[1].prompt_ids.tolist() == server.prompts[1]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("hang", "APITimeoutError"),
        ("cut", "the stream ended before the reply did"),
        ("malformed", "JSONDecodeError"),
        ("no_usage", "the reply has no usage"),
        ("no_cached", "--enable-prompt-tokens-details"),
        ("short", "3 of 4 token ids came back"),
        ("retry_later", "429"),
        ("fault", "500"),
        ("no_key", "401"),
    ],
)
def test_failed_request_has_a_reason_and_the_others_go_on(word: str, reason: str) -> None:
    schedule = ByConversation().arrange([*chat("a"), *chat("b")])
    with scripted(word) as server:
        result = run(ServerEngine(url=server.url, timeout_s=0.5, on_error="record"), schedule)
    assert [one.outcome for one in result.records] == ["rejected", *["completed"] * 3]
    assert reason in (result.records[0].reason or "")
    assert len(server.bodies) == 4  # no request was sent twice
    assert any("1 requests failed" in note for note in result.notes)
    assert [one.prefill_index for one in result.records] == [None, 0, 1, 2]


def test_first_failure_stops_the_run() -> None:
    with scripted("ok", "fault") as server, pytest.raises(EngineError, match=r"request c/1 failed after 1 ended .*500"):
        run(ServerEngine(url=server.url), one_lane(chat()))


def test_slow_reply_is_measured_in_full() -> None:
    with scripted("trickle") as server:
        result = run(ServerEngine(url=server.url), one_lane(chat()))
    first = result.records[0]
    assert first.first_token_ns is not None
    assert first.finished_ns is not None
    assert first.finished_ns - first.first_token_ns >= 60_000_000  # three tokens of 20 ms after the first one


def test_server_that_is_away_is_named() -> None:
    with scripted() as server:
        url = server.url
    with pytest.raises(EngineError, match=r"engine\.url: .*does not answer .* is the server up\?"):
        run(ServerEngine(url=url), one_lane(chat()))


def test_key_is_sent_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    with scripted("no_key") as server:
        result = run(ServerEngine(url=server.url, api_key_env="MY_KEY", on_error="record"), one_lane(chat()[:1]))
    assert server.keys == ["Bearer sk-very-secret"]
    assert "very-secret" not in repr(result)


def test_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"engine\.api_key_env: the environment variable MY_KEY is not set"):
        run(ServerEngine(api_key_env="MY_KEY"), one_lane(chat()))


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("model", "other", "engine.model: the server has no other: it has tiny"),
        ("block_size", 32, "set engine.block_size=16"),
        ("num_blocks", 101, "set engine.num_blocks=100"),
        ("max_model_len", 512, "engine.max_model_len: 512 is above the server's 256"),
    ],
)
def test_setting_that_differs_from_the_servers_is_named(setting: str, value: object, message: str) -> None:
    with scripted() as server, pytest.raises(EngineError) as caught:
        run(replace(ServerEngine(url=server.url), **{setting: value}), one_lane(chat()))  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert server.bodies == []


def test_prompt_without_room_is_not_sent() -> None:
    with scripted() as server:
        result = run(ServerEngine(url=server.url), one_lane([request("long", 0, range(300), [1]), *chat()]))
    assert [one.outcome for one in result.records] == ["rejected", "completed", "completed"]
    assert len(server.bodies) == 2


def test_isolation_is_sent_as_cache_salt() -> None:
    isolation = Isolation("tenant")
    with scripted() as server:
        run(ServerEngine(url=server.url), one_lane([replace(chat()[0], isolation=isolation)]))
    assert server.bodies[0]["cache_salt"] == isolation.salt


def test_turns_wait_for_the_one_before_on_several_connections() -> None:
    chats = [one for name in "abcdef" for one in chat(name)]
    with scripted(*["trickle"] * 12) as server:
        result = run(ServerEngine(url=server.url, max_connections=4), ByTurn().arrange(chats))
    records = {one.request_id: one for one in result.records}
    for name in "abcdef":
        before, after = records[f"{name}/0"], records[f"{name}/1"]
        assert (before.finished_ns or 0) <= (after.submitted_ns or 0)
    assert sorted(one.prefill_index or 0 for one in result.records) == list(range(12))


def test_forced_history_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be made to emit recorded replies"):
        ServerEngine(history="forced")


def test_agreement_with_a_server_needs_one_connection() -> None:
    with pytest.raises(ConfigError, match=r"engine\.real\.max_connections"):
        AgreementEngine(real=ServerEngine(max_connections=4))
