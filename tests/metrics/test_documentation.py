"""docs/metrics.md and the definitions of the metrics against the code."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from cachelab.dataset.block_trace import BlockTrace
from cachelab.dataset.chat import Chat
from cachelab.dataset.claude_code import ClaudeCode
from cachelab.dataset.messages import COUNTS
from cachelab.dataset.text_log import TextLog
from cachelab.dataset.trace_file import parse_trace
from cachelab.filter.thresholds import Thresholds
from cachelab.metrics.base import NEVER, AnyMetric, measure
from cachelab.metrics.observation import Observation
from cachelab.order.sessions import Sessions
from cachelab.order.timed import Timed
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.trace.multi_turn import MultiTurn

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/metrics.md"


def test_document_has_the_tables_of_the_definitions(tmp_path: Path) -> None:
    made = tmp_path / "metrics.md"
    subprocess.run([sys.executable, ROOT / "tools/make_metrics_doc.py", made], check=True)
    assert made.read_text("utf-8") == DOCUMENT.read_text("utf-8"), "run python tools/make_metrics_doc.py"


def test_definitions_are_one_sentence(default_metrics: tuple[AnyMetric, ...]) -> None:
    for metric in default_metrics:
        assert re.fullmatch(r"\S[^\n]{15,}\.", metric.definition), metric.name
        assert ". " not in metric.definition, metric.name


def test_metrics_are_absent_when_they_say_so(
    nothing_completed: Observation, golden: Observation, default_metrics: tuple[AnyMetric, ...]
) -> None:
    present = [*measure(default_metrics, nothing_completed).values]
    assert present == [metric.name for metric in default_metrics if metric.absent_when == NEVER]
    assert all(metric.absent_when for metric in default_metrics)
    full = measure(default_metrics, golden)
    assert {*full.values, *full.series} == {metric.name for metric in default_metrics}


def test_document_example(golden: Observation, default_metrics: tuple[AnyMetric, ...]) -> None:
    numbers = measure(default_metrics, golden)
    last = {name: steps[max(steps)] for name, steps in numbers.series.items()}
    worked = yaml.safe_load(Path(__file__).with_name("example.yaml").read_text(encoding="utf-8"))
    examples = {name: float(text.rpartition("= ")[2]) for name, text in worked.items()}
    assert examples == pytest.approx(dict(numbers.values) | last, abs=5e-5)


def test_document_stages(tmp_path: Path) -> None:
    blocks = tmp_path / "blocks.jsonl"
    blocks.write_text('{"input_length": 3, "output_length": 1, "hash_ids": [1]}')
    block_trace = BlockTrace(path=str(blocks), block_size=4)
    session = tmp_path / "session.json"
    call = {"type": "n", "t": 0, "model": "m", "in": 4, "out": 1, "hash_ids": [1]}
    session.write_text(json.dumps({"id": "a", "block_size": 4, "hash_id_scope": "local", "requests": [call]}))
    log = tmp_path / "log.jsonl"
    log.write_text('{"timestamp": 1760000000, "session_id": "a", "input": "a", "output": "b"}')
    chat = tmp_path / "chat.jsonl"
    chat.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}')
    sources = (block_trace, ClaudeCode(path=str(session)), TextLog(path=str(log)), Chat(path=str(chat)))
    turn = TokenizedTurn(0, np.ones(3, np.int32), np.ones(2, np.int32), np.ones(3, np.int32))
    conversation = TokenizedConversation("c", (turn,))
    row = '{"prompt": "a", "response": "b", "conversation_id": "c", "turn_index": 0, "timestamp": 0.0}'
    counted = {
        "dataset": {
            *COUNTS,
            *parse_trace(row, "a file").counts,
            *(key for source in sources for key in source.load().counts),
        },
        "filter": set(Thresholds().apply([conversation]).numbers),
        "trace": set(MultiTurn().build([conversation]).numbers),
        "order": {
            *Timed(start="uniform").arrange(MultiTurn().build([conversation]).requests).numbers,
            *Sessions(think_s="recorded").arrange(MultiTurn().build([conversation]).requests).numbers,
        },
    }
    names = re.findall(
        r"^\| `((?:dataset|filter|trace|order)/[a-z0-9_]+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE
    )
    assert sorted(names) == sorted(f"{stage}/{key}" for stage, keys in counted.items() for key in keys)
