"""Measures how time and memory of a whole run grow with its input: chats, and a block trace.

    python bench/growth.py [--sharegpt FILE] [--conversations 700 7000 70000]
                           [--trace PATH] [--copies 1 10 100] [--text-ids] [--engine replay]

`--sharegpt` is a file in ShareGPT's schema (default: the bundled sample), whose conversations are repeated with new
ids. `--trace` is a block trace or a folder of Claude Code sessions, which is repeated with new block ids; without it
only chats are measured. `--text-ids` writes the ids as text. Each run is a process of its own, `python -m cachelab`,
with an empty token cache. The first run of a checkout also compiles the loops (some 15 s): run it twice. The exponent
is the slope in logarithms: 1 is linear. The last step's exponent leaves out the cost of the start. Seconds of CPU are
those of the process and of those that it started, peak memory is that of the largest of them.
"""

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from large_inputs import block_rows, write_blocks, write_conversations
from measured import CommandFailed, Measured, measure

SAMPLE = Path(__file__).resolve().parents[1] / "src/cachelab/dataset/sample.json"


def main() -> None:
    """Print one table for each input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sharegpt", type=Path, default=SAMPLE)
    parser.add_argument("--conversations", type=int, nargs="*", default=[700, 7000, 70_000])
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--copies", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--text-ids", action="store_true")
    parser.add_argument("--engine", default="replay", help="of the chats")
    options = parser.parse_args()
    for path in filter(None, (options.sharegpt, options.trace)):
        if not path.exists():
            parser.error(f"{path} does not exist")
    if min([*options.conversations, *options.copies], default=1) < 1:
        parser.error("a size is at least 1")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "input"
        if options.conversations:
            table(
                f"experiment=multi_turn, {options.engine}, ShareGPT conversations",
                options.conversations,
                lambda size: write_conversations(options.sharegpt, size, file),
                file,
                ["experiment=multi_turn", f"engine={options.engine}", "filter=none", "dataset=sharegpt"],
            )
        if options.trace and options.copies:
            rows = block_rows(options.trace, Path(scratch) / "trace")
            table(
                f"experiment=capacity, copies of {sum(len(row['hash_ids']) for row in rows):,} blocks",
                options.copies,
                lambda copies: write_blocks(rows, copies, file, strings=options.text_ids),
                file,
                ["experiment=capacity", "dataset=block_trace", f"engine.block_size={rows[0].get('block_size', 16)}"],
            )


def table(title: str, sizes: Sequence[int], write: Callable[[int], None], file: Path, overrides: Sequence[str]) -> None:
    """Measure a run of each size, and print what it took and how that grows."""
    print(f"\n{title}\n{'size':>20}{'input MB':>10}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}", flush=True)
    found: list[Measured] = []
    for size in sizes:
        write(size)
        one = measured([*overrides, f"dataset.path={file}"])
        found.append(one)
        megabytes = file.stat().st_size / 1e6
        print(f"{size:20,}{megabytes:10.1f}{one.cpu_s:9.1f}{one.wall_s:9.1f}{one.peak_mb:9,.0f}", flush=True)
    for name, first in (("all sizes", 0), ("last step", -2)):
        if len(sizes) > 1:
            columns = zip(*((one.cpu_s, one.wall_s, one.peak_mb) for one in found[first:]), strict=True)
            slopes = "".join(f"{exponent(sizes[first:], column):9.2f}" for column in columns)
            print(f"{'exponent, ' + name:>30}{slopes}", flush=True)


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The slope of the values over the sizes, both in logarithms, by least squares."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(one) for one in values]).slope


def measured(overrides: Sequence[str]) -> Measured:
    """What a run takes, with an empty token cache. Exits if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cachelab", *overrides, "tracking=none", f"hydra.run.dir={folder}/run"]
        try:
            return measure(command, {"HF_DATASETS_CACHE": f"{folder}/cache"})
        except CommandFailed as error:
            sys.exit(f"{' '.join(command)}\n{error}")


if __name__ == "__main__":
    main()
