"""A live server as an engine: what it sends, what it records, and what it says of faults."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cachelab.engine.agreement import AgreementEngine, as_run, as_sent, of_real
from cachelab.engine.base import EngineRun, RunInterrupted
from cachelab.engine.history import history
from cachelab.engine.server.exchange import Answer
from cachelab.engine.server.lanes import Lanes
from cachelab.engine.server.server_engine import ServerEngine
from cachelab.errors import ConfigError, EngineError
from cachelab.message import Isolation, Message, Part, ToolCall
from cachelab.metrics import hit_rate, ideal, losses, requests
from cachelab.metrics.base import measure
from cachelab.metrics.observation import Observation
from cachelab.metrics.requests import request_table
from cachelab.order.by_conversation import ByConversation
from cachelab.order.by_turn import ByTurn
from cachelab.order.timed import Timed
from cachelab.request import Request, Schedule
from scripted_server import CACHED, scripted
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
    assert "The server's model: tiny, vLLM 0.0." in result.notes


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
        ("reset", "ReadError"),
        ("malformed", "JSONDecodeError"),
        ("short", "3 of 4 token ids came back"),
        ("empty", "the reply has no token (finish_reason stop)"),
        ("huge", "the reply is longer than the 4 tokens that were asked for"),
        ("fault", "500"),
        ("busy", "503"),
        ("no_model", "404"),
        ("no_key", "401"),
    ],
)
def test_failed_request_has_a_reason_and_the_others_go_on(word: str, reason: str) -> None:
    schedule = ByConversation().arrange([*chat("a"), *chat("b")])
    with scripted(word) as server:
        result = run(
            ServerEngine(url=server.url, timeout_s=1.0 if word == "hang" else 60.0, on_error="record"), schedule
        )
    assert [one.outcome for one in result.records] == ["rejected", *["completed"] * 3]
    assert reason in (result.records[0].reason or "")
    assert len(server.bodies) == 4  # no request was sent twice
    assert any("1 requests failed" in note for note in result.notes)
    assert [one.prefill_index for one in result.records] == [None, 0, 1, 2]
    assert result.failure is None


@pytest.mark.parametrize(("word", "at_least_s"), [("retry_later", 0.2), ("busy_later", 0.2)])
def test_refused_request_is_sent_again_after_the_wait_that_the_server_asks_for(word: str, at_least_s: float) -> None:
    with scripted(word) as server:
        result = run(ServerEngine(url=server.url), one_lane(chat()))
    assert [one.outcome for one in result.records] == ["completed"] * 2
    assert len(server.bodies) == 3
    assert any("refused requests 1 times" in note for note in result.notes)
    first = result.records[0]
    assert (first.first_scheduled_ns or 0) - (first.submitted_ns or 0) >= at_least_s * 1e9


def test_refused_request_fails_after_the_last_retry() -> None:
    with scripted("retry_later", "retry_later") as server:
        result = run(ServerEngine(url=server.url, retries=1, on_error="record"), one_lane(chat()))
    assert [one.outcome for one in result.records] == ["rejected", "completed"]
    assert len(server.bodies) == 3


def test_first_failure_stops_the_run_with_what_had_ended() -> None:
    chats = [*chat("a"), *chat("b"), *chat("c")]
    with scripted("ok", "fault") as server:
        result = run(ServerEngine(url=server.url), ByConversation().arrange(chats))
    assert result.failure is not None
    assert "request a/1 failed after 1 completed requests" in result.failure
    assert "500" in result.failure
    assert [one.outcome for one in result.records] == ["completed", *["rejected"] * 5]
    assert [(one.reason or "").partition(":")[0] for one in result.records[1:]] == ["failed", *["not sent"] * 4]
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        (ServerEngine(on_error="record"), "failed: InternalServerError: Error code: 500"),
        (ServerEngine(max_model_len=16), "prompt of 20 tokens leaves no room in max_model_len 16"),
    ],
)
def test_run_of_which_no_request_completed_is_a_failed_one(engine: ServerEngine, reason: str) -> None:
    with scripted("fault", "fault") as server:
        result = run(replace(engine, url=server.url), one_lane(chat("a")))
    assert [one.outcome for one in result.records] == ["rejected", "rejected"]
    assert (result.failure or "").startswith(f"0 of 2 requests completed; the first one, a/0: {reason}")


def test_requests_that_ran_when_another_failed_are_cancelled() -> None:
    with scripted("hang", "fault") as server:
        result = run(ServerEngine(url=server.url, max_connections=2), ByTurn().arrange([*chat("a"), *chat("b")]))
    reasons = {one.request_id: (one.reason or "").partition(":")[0] for one in result.records}
    assert sorted(reasons.values()) == ["cancelled while it ran", "failed", "not sent", "not sent"]


def test_server_that_dies_keeps_what_had_ended() -> None:
    schedule = ByConversation().arrange([*chat("a"), *chat("b")])
    with scripted("ok", "die") as server:
        result = run(ServerEngine(url=server.url, on_error="record", retries=0), schedule)
    assert [one.outcome for one in result.records] == ["completed", *["rejected"] * 3]
    assert result.counters.queries_tokens is None
    assert any("own counters are absent" in note and "does not answer" in note for note in result.notes)


def test_server_that_was_restarted_has_no_counters() -> None:
    schedule = one_lane([one for name in "abcd" for one in chat(name)])
    with scripted("ok", "ok", "ok", "ok", "ok", "restart") as server:
        result = run(ServerEngine(url=server.url, on_error="record"), schedule)
    assert [one.outcome for one in result.records] == [*["completed"] * 5, "rejected", *["completed"] * 2]
    assert result.counters.queries_tokens is None
    assert any("the server was restarted during the run" in note for note in result.notes)


@pytest.mark.parametrize("word", ["no_usage", "no_cached"])
def test_reply_without_cached_tokens_leaves_the_hits_unknown(word: str) -> None:
    with scripted(word) as server:
        result = run(ServerEngine(url=server.url), one_lane(chat()))
    assert [(one.outcome, one.cached_known) for one in result.records] == [("completed", False), ("completed", True)]
    assert any("1 of 2 replies do not say how many tokens were cached" in note for note in result.notes)
    observation = Observation.of(chat(), result)
    numbers = measure(
        [one for group in (hit_rate, ideal, losses, requests) for one in group.METRICS], observation
    ).values
    assert not {name for name in numbers if "hit_rate/first_prefill" in name or name.startswith("losses/")}
    assert {"hit_rate/ideal", "hit_rate/vllm_gpu", "requests/completed"} <= set(numbers)
    table = request_table(observation)
    assert (table["cached_tokens"], table["hit_blocks"]) == ([None, CACHED], [None, None])


def test_null_counts_as_no_cached_token_where_other_replies_have_a_count() -> None:
    with scripted("null", kind="sglang") as server:
        result = run(ServerEngine(url=server.url), one_lane(chat()))
    assert [(one.cached_tokens, one.cached_known) for one in result.records] == [(0, True), (CACHED, True)]
    assert any("1 of 2 replies have null where the others have their cached tokens" in note for note in result.notes)


def test_null_in_every_reply_says_nothing() -> None:
    with scripted("null", "null") as server:
        result = run(ServerEngine(url=server.url), one_lane(chat()))
    assert [one.cached_known for one in result.records] == [False, False]
    assert any("2 of 2 replies do not say how many tokens were cached" in note for note in result.notes)


def test_model_that_is_set_needs_no_list_of_models() -> None:
    with scripted() as server:
        server.has_models = False
        with pytest.raises(EngineError, match=r"engine\.model: http.*/v1/models answered 404 .*: name the model"):
            run(ServerEngine(url=server.url), one_lane(chat()))
        result = run(ServerEngine(url=server.url, model="mine"), one_lane(chat()))
    assert [body["model"] for body in server.bodies] == ["mine", "mine"]
    assert [one.outcome for one in result.records] == ["completed"] * 2


def test_router_in_front_of_vllm_gets_vllms_fields() -> None:
    salted = replace(chat()[0], isolation=Isolation("tenant"))
    with scripted(kind="router") as server:
        result = run(ServerEngine(url=server.url), one_lane([salted]))
    assert server.bodies[0]["ignore_eos"]
    assert server.bodies[0]["cache_salt"] == Isolation("tenant").salt
    assert result.counters.queries_tokens is None


def test_metrics_of_one_of_several_engines_are_left_out() -> None:
    with scripted() as server:
        server.share = 2
        result = run(ServerEngine(url=server.url), one_lane(chat()))
    counters = result.counters
    assert (counters.queries_tokens, counters.hits_tokens, counters.steps, counters.num_blocks) == (None,) * 4
    assert any(
        "/metrics counted 20 of 50 prompt tokens, so it is that of one of several engines" in n for n in result.notes
    )


def test_salt_that_is_not_sent_is_said() -> None:
    salted = replace(chat()[0], isolation=Isolation("tenant"))
    with scripted(kind="plain") as server:
        result = run(ServerEngine(url=server.url), one_lane([salted]))
    assert "cache_salt" not in server.bodies[0]
    assert any("1 requests have a cache salt, which was not sent" in note for note in result.notes)


def test_prefill_index_is_the_order_in_which_the_answered_attempts_were_sent() -> None:
    chats = [*chat("a")[:1], *chat("b")[:1]]
    with scripted("retry_later") as server:  # a is sent first, and again after b
        result = run(ServerEngine(url=server.url, max_connections=2), ByTurn().arrange(chats))
    assert len(server.bodies) == 3
    assert {one.request_id: one.prefill_index for one in result.records} == {"a/0": 1, "b/0": 0}


def test_other_server_gets_only_the_fields_of_openai() -> None:
    with scripted(kind="plain") as server:
        result = run(ServerEngine(url=server.url, block_size=8), one_lane(chat()))
    assert "ignore_eos" not in server.bodies[0]
    assert [one.reply_tokens for one in result.records] == [4, 2]
    counters = result.counters
    assert (counters.block_size, counters.num_blocks, counters.steps, counters.hits_tokens) == (8, None, None, None)
    assert any("/metrics answered 404" in note for note in result.notes)
    (warm,) = (note for note in result.notes if "may have been warm" in note)
    assert warm.endswith("80.00 % of the tokens of first turns were cached.")  # 16 of 20


def test_counters_of_sglang() -> None:
    with scripted(kind="sglang") as server:
        result = run(ServerEngine(url=server.url), one_lane(chat()))
    assert (result.counters.queries_tokens, result.counters.hits_tokens) == (50, 2 * CACHED)
    assert server.resets == 1


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
    assert [one["authorization"] for one in server.headers] == ["Bearer sk-very-secret"]
    assert "401" in (result.records[0].reason or "")
    assert "very-secret" not in repr(result)


def test_further_headers_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TEAM", "blue-team")
    with scripted("no_key") as server:
        engine = ServerEngine(url=server.url, headers={"X-Team": "MY_TEAM"}, on_error="record")
        result = run(engine, one_lane(chat()[:1]))
    assert server.headers[0]["x-team"] == "blue-team"
    assert "blue-team" not in repr(result)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("sk-a-real-key", "", "write the name of an environment variable, not the value itself"),
        ("MY_KEY", "schlüssel", "the value of MY_KEY has characters that no header can hold"),
    ],
)
def test_key_that_cannot_be_one_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(ConfigError, match=message) as caught:
        run(ServerEngine(api_key_env=variable), one_lane(chat()))
    assert "sk-a-real-key" not in str(caught.value)
    assert "schlüssel" not in str(caught.value)


def test_address_with_a_password_is_refused() -> None:
    with pytest.raises(ConfigError, match="without user and password") as caught:
        ServerEngine(url="http://user:hidden@127.0.0.1:8000")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/chat/completions"])
def test_address_with_the_path_of_the_api_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"engine\.url: .*without /v1"):
        ServerEngine(url=f"http://127.0.0.1:8000{path}")


@pytest.mark.parametrize("settings", [{"api_key_env": "sk-a-real-key"}, {"headers": {"X-Key": "sk-a-real-key"}}])
def test_value_in_place_of_a_variable_is_refused_before_a_run_records_it(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="write the name of an environment variable") as caught:
        ServerEngine(**settings)
    assert "sk-a-real-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "port", "advice"), [("https", None, "does the server speak https"), ("http", 99999, "host:port")]
)
def test_error_of_the_connection_has_its_own_advice(scheme: str, port: int | None, advice: str) -> None:
    with scripted() as server:
        address = server.url.removeprefix("http://") if port is None else f"127.0.0.1:{port}"
        with pytest.raises(EngineError, match=advice):
            run(ServerEngine(url=f"{scheme}://{address}"), one_lane(chat()))


@pytest.mark.parametrize(
    ("status", "text", "done"),
    [(200, "", True), (200, '{"success": true}', True), (200, '{"success": false}', False), (302, "", False)],
)
def test_reset_that_the_server_did_not_do_is_not_taken_for_one(status: int, text: str, done: bool) -> None:
    with scripted() as server:
        server.reset_answer = status, text
        result = run(ServerEngine(url=server.url), one_lane(chat()))
    assert any("may have been warm" in note for note in result.notes) != done


def test_request_that_ended_as_the_run_was_interrupted_keeps_its_record() -> None:
    request_ = chat()[0]

    async def send(*_: object) -> Answer:
        return Answer(1, 2, 3, prompt_tokens=20, cached_tokens=0, output_ids=[0, 1, 2, 3], finish="length")

    def interrupt(ended: int) -> None:
        raise KeyboardInterrupt

    lanes = Lanes(send, history("recorded"), None, 2, None, interrupt, "record")
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(lanes.run(ByTurn().arrange([request_, chat("d")[0]])))
    records, _ = lanes.in_order(ByTurn().arrange([request_, chat("d")[0]]))
    assert [one.outcome for one in records] == ["completed", "completed"]


@pytest.mark.parametrize(("setting", "value"), [("api_key_env", "MY_KEY"), ("headers.X-Team", {"X-Team": "MY_KEY"})])
def test_missing_key_is_named_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: object
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match=rf"engine\.{setting}: the environment variable MY_KEY is not set"):
        ServerEngine(**{setting.partition(".")[0]: value})  # type: ignore[arg-type]


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


def messages_of(*texts: str) -> tuple[Message, ...]:
    return tuple(Message("user" if place % 2 == 0 else "assistant", text) for place, text in enumerate(texts))


def test_chat_sends_messages_and_tools() -> None:
    call = ToolCall("find", '{"a": 1}', "call_7")
    messages = (
        Message("system", "Be brief."),
        Message("user", (Part("text", "Where?"),)),
        Message("assistant", None, (call,)),
        Message("tool", "here", tool_call_id="call_7"),
    )
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
    one = replace(chat()[0], messages=messages, tools=(tool,))
    with scripted() as server:
        server.prompt_ids = list(range(20))
        result = run(ServerEngine(url=server.url, api="chat"), one_lane([one]))
    (body,) = server.bodies
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Where?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_7", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "content": "here", "tool_call_id": "call_7"},
    ]
    assert (body["tools"], body["tool_choice"], body["max_completion_tokens"]) == ([tool], "none", 4)
    assert [record.outcome for record in result.records] == ["completed"]
    assert not any("other tokens" in note for note in result.notes)


def test_chat_counts_prompts_that_are_others_on_the_server() -> None:
    one = replace(chat()[0], messages=messages_of("hello"))
    with scripted() as server:
        server.prompt_ids = [1, *range(20)]
        result = run(ServerEngine(url=server.url, api="chat"), one_lane([one]))
    assert any("1 prompts have other tokens on the server" in note for note in result.notes)
    assert result.records[0].prompt_tokens == 21
    assert result.requests is not None
    assert result.requests[0].prompt_ids.tolist() == server.prompt_ids


def test_chat_of_another_length_fails_where_the_ids_are_not_known() -> None:
    one = replace(chat()[0], messages=messages_of("hello"))
    with scripted(kind="plain") as server:
        server.prompt_ids = [1, *range(20)]
        result = run(ServerEngine(url=server.url, api="chat"), one_lane([one]))
    assert "the server counted 21 prompt tokens, the tokenizer 20: another chat template" in (result.failure or "")


def test_chat_with_an_image_is_not_sent_and_says_why() -> None:
    image = replace(chat()[0], messages=(Message("user", (Part("image"),)),))
    with scripted() as server:
        result = run(ServerEngine(url=server.url, api="chat", on_error="record"), one_lane([image]))
    assert "an image or audio part cannot be sent" in (result.records[0].reason or "")
    assert server.bodies == []


def test_chat_without_messages_is_refused_before_the_server_hears_of_it() -> None:
    bare = [chat()[0], replace(chat()[1], messages=())]
    with scripted() as server, pytest.raises(ConfigError, match=r"^engine\.api: chat .* c/1 .*engine\.api=completions"):
        run(ServerEngine(url=server.url, api="chat", on_error="record"), one_lane(bare))
    assert (server.bodies, server.resets) == ([], 0)


def test_long_request_fails_at_its_deadline() -> None:
    with scripted("trickle") as server:
        engine = ServerEngine(url=server.url, deadline_s=1.0, on_error="record")
        result = run(engine, one_lane([request("slow", 0, range(20), range(200)), *chat()[:1]]))
    assert "no whole reply within engine.deadline_s (1 s)" in (result.records[0].reason or "")
    assert [one.outcome for one in result.records] == ["rejected", "completed"]


def test_interrupted_run_holds_what_had_ended() -> None:
    chats = [*chat("a"), *chat("b")]
    done: list[int] = []

    def interrupt(ended: int) -> None:
        done.append(ended)
        if len(done) == 2:
            raise KeyboardInterrupt

    with scripted() as server, pytest.raises(RunInterrupted) as caught:
        ServerEngine(url=server.url).run(ByConversation().arrange(chats), interrupt)
    records = caught.value.run.records
    assert [one.outcome for one in records] == ["completed", "completed", "rejected", "rejected"]
    assert records[3].reason == "not sent: the run ended before"


def test_forced_history_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be made to emit recorded replies"):
        ServerEngine(history="forced")


def test_agreement_with_a_server_needs_one_connection() -> None:
    with pytest.raises(ConfigError, match=r"engine\.real\.max_connections"):
        AgreementEngine(real=ServerEngine(max_connections=4))


def test_messages_of_an_agreement_name_its_own_keys() -> None:
    with scripted() as server:
        engine = AgreementEngine(real=ServerEngine(url=server.url, block_size=32))
        with pytest.raises(EngineError, match=r"^engine\.real\.block_size: 32, .* set engine\.real\.block_size=16$"):
            engine.run(one_lane(chat()), lambda ended: None)
    with scripted("fault") as server:
        result = AgreementEngine(real=ServerEngine(url=server.url)).run(one_lane(chat()), lambda ended: None)
    assert (result.failure or "").endswith("; engine.real.on_error=record goes on")


def test_words_of_the_server_keep_what_is_no_setting_in_an_agreement() -> None:
    text = "engine.step failed in vllm.engine.url; engine.retries, engine.real.url and engine=agreement: engine.url"
    assert of_real(ServerEngine(), text) == (
        "engine.step failed in vllm.engine.url; engine.real.retries, engine.real.url and engine=agreement: "
        "engine.real.url"
    )


def test_agreement_leaves_failed_requests_out_and_says_so() -> None:
    with scripted("ok", "fault") as server:
        engine = AgreementEngine(real=ServerEngine(url=server.url, on_error="record", max_model_len=64))
        result = engine.run(ByConversation().arrange([*chat("a"), *chat("b")]), lambda ended: None)
    assert [one.request_id for one in result.reference_records or ()] == ["a/0", "b/0", "b/1"]
    assert any("1 requests did not complete on the server and are not compared" in note for note in result.notes)


def test_agreement_simulates_in_the_order_in_which_the_server_got_the_requests() -> None:
    schedule = Timed(start="uniform", rate=20.0, think_s=0.02).arrange([*chat("a"), *chat("b"), *chat("c")])
    with scripted() as server:
        run_ = run(ServerEngine(url=server.url), schedule)
    again = as_sent(as_run(schedule, run_), run_)
    assert not again.waits
    ((lane,),) = again.stages
    assert [list(one.prompt_ids) for one in lane] == server.prompts
