"""vLLM's own server on this machine's CPU, with the tiny model: one start for all tests of this file."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from cachelab.conversation import Conversation
from cachelab.engine.agreement import AgreementEngine
from cachelab.engine.history import HistoryName
from cachelab.engine.server.server_engine import ServerEngine
from cachelab.message import Message, ToolCall
from cachelab.metrics.agreement import mismatches
from cachelab.metrics.observation import Observation
from cachelab.model.tiny_model import tiny_model
from cachelab.order.by_turn import ByTurn
from cachelab.tokenizer.huggingface import HuggingFace
from cachelab.trace.multi_turn import MultiTurn
from cachelab.turn import Turn
from chat_models import CHATML, WEATHER, save_deepseek
from workloads import random_requests

pytestmark = pytest.mark.slow

REQUESTS = random_requests(11, 16, max_turns=4, max_message=100, max_reply=10, vocabulary=1000)
NUM_BLOCKS = 31  # the chats fill more: blocks are evicted
START_S = 300


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a vocabulary and a chat template that takes tools."""
    folder = tmp_path_factory.mktemp("model")
    made = Path(shutil.copytree(tiny_model(folder, 131_072), folder / "with_tokenizer"))
    save_deepseek(made, CHATML)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[ServerEngine]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sizes = f"--block-size 32 --num-gpu-blocks-override {NUM_BLOCKS} --max-model-len 896 --max-num-seqs 4"
    memory = f"--kv-cache-memory-bytes {1 << 26} --gpu-memory-utilization 0.05"
    command = (
        f"-m vllm.entrypoints.openai.api_server --model {model} --served-model-name tiny "
        f"--enable-prompt-tokens-details --enforce-eager {sizes} {memory} "
        f"--host 127.0.0.1 --port {port}"
    )
    environment = {**os.environ, "VLLM_SERVER_DEV_MODE": "1", "HF_HUB_OFFLINE": "1"}
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *command.split()], stdout=file, stderr=file, env=environment, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log)
        yield ServerEngine(url=url, block_size=32, num_blocks=NUM_BLOCKS)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(f"{url}/v1/models", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    pytest.fail(f"vLLM's server did not start: {log.read_text()[-2000:]}")


@pytest.mark.parametrize("history", ["recorded", "generated"])
def test_simulator_agrees_with_the_server_on_every_request(server: ServerEngine, history: HistoryName) -> None:
    schedule = ByTurn().arrange(REQUESTS)
    result = AgreementEngine(real=replace(server, history=history)).run(schedule, lambda ended: None)
    observation = Observation.of(list(schedule), result)
    assert len(observation.completed) == len(REQUESTS)
    assert sum(one.cached_tokens for one in result.records) > 0
    assert mismatches(observation) == []


@pytest.mark.parametrize("connections", [1, 4])
def test_metrics_of_the_server_equal_the_sum_of_the_replies(server: ServerEngine, connections: int) -> None:
    engine = replace(server, max_connections=connections)
    result = engine.run(ByTurn().arrange(REQUESTS), lambda ended: None)
    assert result.counters.queries_tokens == sum(one.prompt_tokens for one in result.records)
    assert result.counters.hits_tokens == sum(one.cached_tokens for one in result.records)


def test_cache_is_emptied_before_each_run(server: ServerEngine) -> None:
    schedule = ByTurn().arrange(REQUESTS[:1])
    runs = [server.run(schedule, lambda ended: None) for _ in range(2)]
    assert [run.records[0].cached_tokens for run in runs] == [0, 0]
    warm = replace(server, reset_cache=False).run(schedule, lambda ended: None)
    assert warm.records[0].cached_tokens == (len(REQUESTS[0].prompt_ids) - 1) // 32 * 32


def chat(number: int) -> Conversation:
    """Three turns with tools: a call, its result and a last question."""
    call = ToolCall("get_weather", '{"city": "Bern"}', f"call_{number}")
    question = Message("user", f"What is the weather in Bern today? This is question {number} of several. " * 4)
    turns = (
        Turn(0, (Message("system", "You are a helpful assistant."), question), Message("assistant", None, (call,))),
        Turn(
            3, (Message("tool", '{"sky": "clear", "wind": 3}', tool_call_id=call.id),), Message("assistant", "Clear.")
        ),
        Turn(5, (Message("user", "And tomorrow?"),), Message("assistant", "I do not know.")),
    )
    return Conversation(f"chat{number}", tuple(replace(turn, tools=WEATHER) for turn in turns))


def test_chat_has_the_tokenizers_prompts_and_the_simulators_hits(server: ServerEngine, model: Path) -> None:
    tokenizer = HuggingFace(str(model))
    trace = MultiTurn().build([chat(number).tokenized(tokenizer) for number in range(6)])
    schedule = ByTurn().arrange(trace.requests)
    result = AgreementEngine(real=replace(server, api="chat", max_output_tokens=4)).run(schedule, lambda ended: None)
    observation = Observation.of(list(schedule), result)
    assert len(observation.completed) == 18
    assert not any("other tokens on the server" in note for note in result.notes)
    assert [one.prompt_tokens for one in result.records] == [len(one.prompt_ids) for one in schedule]
    assert sum(one.cached_tokens for one in result.records) > 0
    assert mismatches(observation) == []
