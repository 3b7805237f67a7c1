"""Measures how time and memory of a whole run grow with its input: chats, and a block trace.

    python bench/growth.py [--sharegpt FILE] [--conversations 700 7000 70000]
                           [--trace PATH] [--copies 1 10 100] [--text-ids] [--engine replay]

`--sharegpt` is a file in ShareGPT's schema (default: the bundled sample), whose conversations are repeated with new
ids. `--trace` is a block trace or a folder of Claude Code sessions, which is repeated with new block ids; without it
only chats are measured. `--text-ids` writes the ids as text. Each run is a process of its own, `python -m cachelab`,
with an empty token cache. The exponent is the slope in logarithms: 1 is linear. The last step's exponent leaves out the
cost of the start. Seconds of CPU are those of the process and of those that it started, peak memory is that of the
largest of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SPAN_MS = 1000
"""Milliseconds between the last request of a copy of a trace and the first one of the next copy."""

Measured = tuple[float, float, float]
"""Seconds of CPU, seconds by the clock, peak MB."""


def main() -> None:
    """Print one table for each input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sharegpt", type=Path)
    parser.add_argument("--conversations", type=int, nargs="*", default=[700, 7000, 70_000])
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--copies", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--text-ids", action="store_true")
    parser.add_argument("--engine", default="replay", help="of the chats")
    parser.add_argument("overrides", nargs="*", help="further overrides of cachelab, for both inputs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "input"
        if options.conversations:
            items = chats(options.sharegpt)
            table(
                f"{options.engine} of ShareGPT conversations",
                options.conversations,
                lambda size: write_chats(items, size, file),
                [f"engine={options.engine}", "dataset=sharegpt", f"dataset.path={file}", *options.overrides],
            )
        if options.trace and options.copies:
            rows = trace_rows(options.trace)
            table(
                f"experiment=capacity of {options.trace.name}, {sum(len(row['hash_ids']) for row in rows):,} blocks, x",
                options.copies,
                lambda copies: write_trace(rows, copies, file, text=options.text_ids),
                ["experiment=capacity", "dataset=block_trace", f"dataset.path={file}", *options.overrides],
            )


def table(title: str, sizes: Sequence[int], write: Callable[[int], None], overrides: Sequence[str]) -> None:
    """Measure a run of each size, and print what it took and how that grows."""
    print(f"\n{title}\n{'size':>10}{'input MB':>10}{'CPU s':>9}{'clock s':>9}{'peak MB':>9}", flush=True)
    found: list[Measured] = []
    for size in sizes:
        write(size)
        path = Path(next(one for one in overrides if one.startswith("dataset.path=")).partition("=")[2])
        found.append(measured(overrides))
        cpu, clock, peak = found[-1]
        print(f"{size:10,}{path.stat().st_size / 1e6:10.1f}{cpu:9.1f}{clock:9.1f}{peak:9.0f}", flush=True)
    for name, first in (("all sizes", 0), ("last step", -2)):
        if len(sizes) > 1:
            slopes = [exponent(sizes[first:], [one[column] for one in found[first:]]) for column in (0, 1, 2)]
            print(f"{'exponent, ' + name:>20}" + "".join(f"{slope:9.2f}" for slope in slopes), flush=True)


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The slope of the values over the sizes, both in logarithms, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def measured(overrides: Sequence[str]) -> Measured:
    """What a run takes, with an empty token cache."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cachelab", *overrides, "tracking=none", f"hydra.run.dir={folder}/run"]
        start = time.perf_counter()
        with (Path(folder) / "log").open("w+") as log:
            environment = {**os.environ, "HF_DATASETS_CACHE": f"{folder}/cache"}
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            log.seek(0)
            if status:
                sys.exit(f"{' '.join(command)}\n{log.read()[-3000:]}")
        seconds = time.perf_counter() - start
        return usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss / 1024


def chats(path: Path | None) -> list[dict[str, Any]]:
    """The items of a file in ShareGPT's schema; without a path, of the bundled sample."""
    from importlib.resources import files

    text = (path or files("cachelab") / "dataset" / "sample.json").read_text(encoding="utf-8")
    items: list[dict[str, Any]] = json.loads(text)
    return items


def write_chats(items: Sequence[dict[str, Any]], size: int, to: Path) -> None:
    """Write `size` conversations: the items, again and again, with new ids."""
    texts = [json.dumps(item["conversations"]) for item in items]
    with to.open("w", encoding="utf-8") as file:
        for number in range(size):
            head = "[" if number == 0 else ", "
            file.write(f'{head}{{"id": "c{number}", "conversations": {texts[number % len(texts)]}}}')
        file.write("]")


def trace_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a block trace, or of Claude Code sessions as a block trace."""
    from cachelab.dataset.auto import recognised
    from cachelab.export.trace_writer import block_trace_rows
    from cachelab.trace.multi_turn import MultiTurn

    _, _, dataset = recognised(str(path))
    return list(block_trace_rows(MultiTurn().build(list(blocks_of(dataset.load().conversations))).requests))


def blocks_of(conversations: Sequence[Any]) -> Iterator[Any]:
    """The conversations of a block trace. Exits if one has texts."""
    from cachelab.tokenized_conversation import TokenizedConversation

    for conversation in conversations:
        if not isinstance(conversation, TokenizedConversation):
            sys.exit("--trace: name a block trace or a folder of Claude Code sessions")
        yield conversation


def write_trace(rows: Sequence[dict[str, Any]], copies: int, to: Path, *, text: bool) -> None:
    """Write the rows `copies` times, one copy after another in time, each with its own blocks and chats."""
    step = 1 + max(max(row["hash_ids"] + row.get("output_hash_ids", []), default=0) for row in rows)
    span = SPAN_MS + max(row["timestamp"] for row in rows)
    with to.open("w", encoding="utf-8") as file:
        for copy in range(copies):
            names = [json.dumps(str(id) if text else id) for id in range(copy * step, (copy + 1) * step)]
            for row in rows:
                head = {
                    "timestamp": row["timestamp"] + copy * span,
                    "input_length": row["input_length"],
                    "output_length": row["output_length"],
                    "block_size": row["block_size"],
                    "chat_id": row["chat_id"] + copy * len(rows),
                }
                if row.get("parent_chat_id", -1) != -1:
                    head["parent_chat_id"] = row["parent_chat_id"] + copy * len(rows)
                lists = [
                    f'"{field}": [{", ".join(names[id] for id in row[field])}]'
                    for field in ("hash_ids", "output_hash_ids")
                    if field in row
                ]
                file.write(f"{json.dumps(head)[:-1]}, {', '.join(lists)}}}\n")


if __name__ == "__main__":
    main()
