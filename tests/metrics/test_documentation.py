"""docs/metrics.md against the code: what it says is what is computed."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cachelab.conversation import TokenizedConversation, TokenizedTurn
from cachelab.dataset.block_trace import BlockTrace
from cachelab.dataset.claude_code import ClaudeCode
from cachelab.dataset.messages import COUNTS
from cachelab.dataset.text_log import TextLog
from cachelab.dataset.trace_file import parse_trace
from cachelab.filter.thresholds import Thresholds
from cachelab.metrics.base import AnyMetric, measure
from cachelab.metrics.observation import Observation
from cachelab.trace.multi_turn import MultiTurn

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/metrics.md"
STAGES = ("dataset", "filter", "trace")


@dataclass(frozen=True)
class Row:
    name: str
    unit: str
    definition: str
    example: str


def _rows() -> list[Row]:
    rows = []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and (name := re.fullmatch(r"`([a-z0-9_]+/[a-z0-9_]+)`", cells[0])):
            rows.append(Row(name[1], cells[1], cells[2], cells[-1]))
    return rows


def _of_engine() -> list[Row]:
    return [row for row in _rows() if row.name.split("/")[0] not in STAGES]


def test_document_names_units_and_definitions(default_metrics: tuple[AnyMetric, ...]) -> None:
    documented = [(row.name, row.unit, row.definition) for row in _of_engine()]
    assert documented == [(metric.name, metric.unit, metric.definition) for metric in default_metrics]


def test_definitions_are_one_sentence(default_metrics: tuple[AnyMetric, ...]) -> None:
    for metric in default_metrics:
        assert re.fullmatch(r"\S[^\n]{15,}\.", metric.definition), metric.name
        assert ". " not in metric.definition, metric.name


def test_document_example(golden: Observation, default_metrics: tuple[AnyMetric, ...]) -> None:
    numbers = measure(default_metrics, golden)
    last = {name: steps[max(steps)] for name, steps in numbers.series.items()}
    examples = {row.name: float(row.example.rpartition("= ")[2]) for row in _of_engine()}
    assert examples == pytest.approx(dict(numbers.values) | last, abs=5e-5)


def test_document_stages(tmp_path: Path) -> None:
    blocks = tmp_path / "blocks.jsonl"
    blocks.write_text('{"input_length": 3, "output_length": 1, "hash_ids": [1]}')
    block_trace = BlockTrace(path=str(blocks), block_size=4)
    session = tmp_path / "session.json"
    call = {"type": "n", "t": 0, "model": "m", "in": 4, "out": 1, "hash_ids": [1]}
    session.write_text(json.dumps({"id": "a", "block_size": 4, "hash_id_scope": "local", "requests": [call]}))
    log = tmp_path / "log.jsonl"
    log.write_text('{"timestamp": 0, "session_id": "a", "input": "a", "output": "b"}')
    sources = (block_trace, ClaudeCode(path=str(session)), TextLog(path=str(log)))
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
    }
    names = [row.name for row in _rows() if row.name.split("/")[0] in STAGES]
    assert sorted(names) == sorted(f"{stage}/{key}" for stage, keys in counted.items() for key in keys)
