"""docs/datasets.md: each command reads a file of its format, and each recipe makes a log that its command reads."""

import asyncio
import gzip
import json
import logging
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

import cachelab

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
U, A, V, B = ({"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, "uavb", strict=True))
TALK = [U, A, V, B]
PROMPTS, REPLIES = ([U], [U, A, V]), (A, B)
BLOCKS = {"timestamp": 0, "input_length": 1300, "output_length": 2, "hash_ids": [1, 2, 3]}
QWEN = BLOCKS | {"input_length": 40, "chat_id": 1, "parent_chat_id": -1, "type": "text", "turn": 1}
REQUEST = {"type": "n", "t": 0, "model": "m", "in": 9, "out": 1, "hash_ids": [1, 2]}
TRACE = {"prompt": "a", "response": "b", "conversation_id": "c", "turn_index": 0, "timestamp": 0.0}
LOG = {"timestamp": 1_760_995_776_640_783, "session_id": "a", "input": "Hi", "output": "Hello"}
FILES: dict[str, Sequence[Any]] = {
    "chats.jsonl": [{"messages": TALK}],
    "allenai/WildChat-1M/data/train-00000-of-00001.parquet": [{"conversation_hash": "c", "conversation": TALK}],
    "wildchat/data/train-00000-of-00001.parquet": [{"conversation_hash": "c", "conversation": TALK}],
    "gpt-4o-airline.json": [[{"task_id": 0, "trial": 1, "traj": TALK}]],
    "trajectories/a/b/x.traj": [{"environment": "main", "history": TALK}],
    "calls.jsonl": [{"request": {"messages": p}, "response": r} for p, r in zip(PROMPTS, REPLIES, strict=True)],
    "batch.jsonl": [{"custom_id": str(n), "body": {"messages": prompt}} for n, prompt in enumerate(PROMPTS)],
    "FILE": [{"event": {"payload": {"messages": TALK}}}],
    "sharegpt.json": [[{"id": "x", "conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]}]],
    "lmcache_traces/a.jsonl": [LOG, LOG],
    "traces/a.json": [{"id": "a", "block_size": 4, "hash_id_scope": "local", "requests": [REQUEST]}],
    "mooncake.jsonl": [BLOCKS, BLOCKS],
    "qwen.jsonl": [QWEN, QWEN | {"chat_id": 2, "timestamp": 0.5}],
    "sessions.jsonl": [{"session_id": "a"} | BLOCKS, {"session_id": "a"} | BLOCKS | {"hash_ids": [4, 5, 6]}],
    "trace.jsonl.gz": [TRACE, TRACE | {"turn_index": 1}],
}


def lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is a folder with a small file of each name that the table has."""
    monkeypatch.chdir(tmp_path)
    for name, rows in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        else:
            text = lines(rows).encode()
            path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


TABLE = re.findall(r"^\| [^|]+ \| `(\w+)` \| `cachelab ([^`]+)` \|$", TEXT, re.MULTILINE)


def words(command: str) -> list[str]:
    done = subprocess.run(["bash", "-fc", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def test_table_has_every_format() -> None:
    assert len(TABLE) >= 15
    assert {option for option, _ in TABLE} == {"chat", "sharegpt", "text_log", "claude_code", "block_trace", "trace"}


@pytest.mark.parametrize(("option", "command"), TABLE)
@pytest.mark.usefixtures("_files")
def test_command_reads_its_format(option: str, command: str, caplog: pytest.LogCaptureFixture) -> None:
    overrides = words(command)
    with caplog.at_level(logging.INFO):
        result = cachelab.run(*overrides, "artifacts=[requests]")
    assert result.metrics["requests/completed"] == result.metrics["dataset/turns"] > 0
    if f"dataset={option}" not in overrides:
        assert f"read as dataset={option} (" in caplog.text


def recipe(heading: str) -> list[str]:
    """The code blocks of a section, without their indentation."""
    section = TEXT.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", section, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() for block in blocks if block.strip()]


def run_shell(script: str, folder: Path) -> cachelab.Result:
    """Run a recipe's shell commands, `cachelab` among them; needs jq."""
    if shutil.which("jq") is None and "jq " in script:
        pytest.skip("jq is not installed")
    stub = "cachelab() { printf '%s\\0' \"$@\" > words; }\nset -e\n"
    subprocess.run(["bash", "-c", stub + script], cwd=folder, check=True, timeout=60)
    overrides = (folder / "words").read_text().split("\0")[:-1]
    return cachelab.run(*overrides, "artifacts=[requests]")


def completion(reply: dict[str, str]) -> dict[str, Any]:
    return {"id": "x", "created": 1_718_000_000, "choices": [{"index": 0, "message": reply}]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(result: cachelab.Result, conversations: int = 1) -> None:
    assert result.metrics["dataset/conversations"] == conversations
    assert result.metrics["requests/completed"] == 2


def test_recipe_for_vllm(folder: Path) -> None:
    (script,) = recipe("vLLM")
    # The server's logger writes this to its standard output (vllm/entrypoints/serve/utils/request_logger.py).
    log = [
        f"DEBUG 11-25 15:00:00 [request_logger.py:74] Request r JSON body: {lines([{'messages': p}])}" for p in PROMPTS
    ]
    (folder / "written").write_text("INFO 11-25 15:00:00 [x.py:1] Started\n" + "".join(log))
    check(run_shell(f"vllm() {{ cat written; echo trouble >&2; }}\n{script}", folder))


def test_recipe_for_litellm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, command = recipe("LiteLLM")
    module = types.ModuleType("litellm.integrations.custom_logger")
    module.CustomLogger = object  # type: ignore[attr-defined]
    for name in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    made: dict[str, Any] = {}
    exec(code, made)
    for number, (prompt, reply) in enumerate(zip(PROMPTS, REPLIES, strict=True)):
        payload = {
            "messages": prompt,
            "response": completion(reply),
            "startTime": 1_718_000_000.5 + number,
            "model": "m",
        }
        asyncio.run(made["calls"].async_log_success_event({"standard_logging_object": payload}, None, None, None))
    check(run_shell(command, folder))


def test_recipe_for_langfuse(folder: Path) -> None:
    (script,) = recipe("Langfuse")
    rows: list[Any] = [{"type": "SPAN", "input": "x"}]
    for prompt, reply in zip(PROMPTS, REPLIES, strict=True):
        texts = {"input": json.dumps(prompt), "output": json.dumps(reply)}
        rows.append({"type": "GENERATION", "session_id": "s", "start_time": "2024-05-29 13:46:19.5", **texts})
    (folder / "observations_v2").mkdir()
    (folder / "observations_v2" / "1.jsonl").write_text(lines(rows))
    check(run_shell(script, folder))


def test_recipe_for_batch_files(folder: Path) -> None:
    (script,) = recipe("OpenAI's batch files, and vllm run-batch")
    sent = [{"custom_id": str(n), "method": "POST", "body": {"messages": prompt}} for n, prompt in enumerate(PROMPTS)]
    responses = [{"status_code": 200, "body": completion(reply)} for reply in REPLIES]
    given = [{"custom_id": str(n), "response": response} for n, response in enumerate(responses)]
    (folder / "batch_input.jsonl").write_text(lines(sent))
    (folder / "batch_output.jsonl").write_text(lines(given[::-1]))
    check(run_shell(script, folder))


def test_recipe_for_claude_code(folder: Path) -> None:
    setting, script = recipe("Claude Code")
    place = re.search(r"file:(/[^\"]+)", setting)
    assert place is not None
    assert place[1] in script
    system = [{"type": "text", "text": "You are"}]
    (folder / "claude-calls").mkdir()
    for number, prompt in enumerate(PROMPTS):
        session = json.dumps({"session_id": "s"})
        body = {"model": "m", "system": system, "messages": prompt, "metadata": {"user_id": session}}
        (folder / "claude-calls" / f"{'ba'[number]}.request.json").write_text(json.dumps(body))
    result = run_shell(script.replace(place[1], f"{folder}/claude-calls"), folder)
    assert result.metrics["dataset/conversations"] == 1
    assert result.metrics["dataset/turns"] == 2
