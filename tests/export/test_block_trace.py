"""A workload written as a block trace: the same hits come back, and no token leaves."""

import json
from pathlib import Path

import pytest

from cachelab.dataset.block_trace import BlockTrace
from cachelab.engine.replay import ReplayEngine
from cachelab.errors import ConfigError
from cachelab.export.block_trace import BlockTraceExport
from cachelab.order.by_conversation import ByConversation
from cachelab.request import Schedule
from cachelab.trace.multi_turn import MultiTurn
from workloads import one_lane, random_requests, request

SALT = "sixteen letters!"


def hits(schedule: Schedule) -> list[int]:
    engine = ReplayEngine(block_size=8, max_model_len=256, num_blocks=60, rules="vllm")
    return [record.cached_tokens for record in engine.run(schedule, lambda ended: None).records]


def test_export_read_again_gives_the_same_hits(tmp_path: Path) -> None:
    requests = random_requests(23, 30, vocabulary=3)
    schedule = ByConversation().arrange(requests)
    path = tmp_path / "blocks.jsonl.gz"
    BlockTraceExport(path=str(path), block_size=8).write(schedule)
    loaded = BlockTrace(path=str(path)).load()
    again = MultiTurn().build(loaded.conversations).requests  # type: ignore[arg-type]
    assert [len(entry.prompt_ids) for entry in again] == [len(entry.prompt_ids) for entry in requests]
    assert hits(ByConversation().arrange(again)) == hits(schedule)
    assert sum(hits(schedule)) > 0


def test_export_rows_worked_by_hand() -> None:
    # 6 prompt + 7 reply tokens, of which 12 are computed: blocks of 4: one full and a partial one of the prompt, and
    # two that the reply completes; b begins with the same block
    a, b = request("a", 0, range(6), range(10, 17)), request("b", 0, [0, 1, 2, 3], [9])
    rows = list(BlockTraceExport(path="-", block_size=4).rows(one_lane([a, b]), b"salt"))
    assert [len(rows[0]["hash_ids"]), len(rows[0]["output_hash_ids"])] == [2, 2]
    assert rows[1]["hash_ids"] == rows[0]["hash_ids"][:1]
    assert len({*rows[0]["hash_ids"], *rows[0]["output_hash_ids"]}) == 4
    assert rows[0]["parent_chat_id"] == rows[1]["parent_chat_id"] == -1


def test_export_depends_on_the_salt_only() -> None:
    schedule = one_lane([request("a", 0, range(8), [1])])
    export = BlockTraceExport(path="-", block_size=4)
    assert list(export.rows(schedule, b"one")) == list(export.rows(schedule, b"one"))
    one, two = ([row["hash_ids"] for row in export.rows(schedule, salt)] for salt in (b"one", b"two"))
    assert not {*one[0]} & {*two[0]}


def test_export_lets_no_text_or_token_out() -> None:
    entry = request("name of a person", 0, [77_001, 77_002, 77_003, 77_004, 77_005], [77_006])
    text = json.dumps(list(BlockTraceExport(path="-", block_size=4).rows(one_lane([entry]), b"salt")))
    assert "person" not in text
    assert "message" not in text
    assert "7700" not in text


def test_export_with_a_bad_path_or_salt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"export\.path"):
        BlockTraceExport(path=str(tmp_path / "no such folder" / "x.gz")).write(one_lane([]))
    with pytest.raises(ConfigError, match=r"export\.salt"):
        BlockTraceExport(path=str(tmp_path / "x.gz"), salt="é" * 40).write(one_lane([]))
    with pytest.raises(ValueError, match="salt"):
        BlockTraceExport(path="x", salt="short")
    assert BlockTraceExport(path="x", salt=SALT).salt == SALT
