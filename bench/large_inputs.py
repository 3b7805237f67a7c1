"""Makes large inputs by repeating small real ones with fresh ids."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def block_rows(trace: Path, scratch: Path) -> list[Row]:
    """The rows of a block trace, or of a folder of agent sessions (dataset=claude_code) in the order of arrival."""
    if trace.is_file():
        with trace.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    import cachelab

    cachelab.run(
        "experiment=capacity", "dataset=claude_code", f"dataset.path={trace}", "dataset.share_models=true",
        "engine.block_size=64", "tracking=none", "artifacts=[trace]", f"hydra.run.dir={scratch}",
    )  # fmt: skip
    with gzip.open(scratch / "artifacts" / "block_trace.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_blocks(rows: Sequence[Row], copies: int, path: Path, *, strings: bool = False) -> None:
    """Write the rows so often, each time later and with ids that no other copy has: integers, or strings of digits."""
    step = 1 + max(max(row["hash_ids"], default=0) for row in rows)
    span = 1000 + int(max(row["timestamp"] for row in rows))
    quote = '"' if strings else ""
    with path.open("w", encoding="utf-8") as file:
        for copy in range(copies):
            names = [f"{quote}{copy * step + number}{quote}" for number in range(step)]
            for row in rows:
                other = {key: value for key, value in row.items() if key != "hash_ids"}
                other["timestamp"] = row["timestamp"] + copy * span
                ids = ", ".join([names[number] for number in row["hash_ids"]])
                file.write(f'{json.dumps(other)[:-1]}, "hash_ids": [{ids}]}}\n')


def write_conversations(source: Path, number: int, path: Path) -> None:
    """Write so many conversations of a ShareGPT file, from its start again and again, each with an id of its own."""
    chats = json.loads(source.read_text(encoding="utf-8"))
    turns = [json.dumps(chat["conversations"]) for chat in chats]
    with path.open("w", encoding="utf-8") as file:
        for i in range(number):
            copy, k = divmod(i, len(chats))
            name = json.dumps(f"{chats[k]['id']}_{copy}")
            file.write(f'{", " if i else "["}{{"id": {name}, "conversations": {turns[k]}}}')
        file.write("]")
