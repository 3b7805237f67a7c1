"""Measures this checkout beside an earlier one and beside other tools: CPU time, memory, and whether a number changed.

    python bench/before_after.py [--before CHECKOUT] [--sessions FOLDER] [--sharegpt FILE] [--peers PYTHON]
                                 [--copies 134] [--conversations 70000] [--rounds 1] [--only NAME ...]

CHECKOUT is a clone at an earlier commit. FOLDER has sessions of dataset=claude_code, which are repeated as a block
trace; without it there is none. FILE is a ShareGPT file (default: the bundled sample), repeated with fresh ids. PYTHON
has kvcache-simulator, llmtrafficlens and kvlint. Each command is a whole process, the checkouts take turns, and each
has a token cache of its own, empty at first. Compare only ratios of one run: seconds depend on the machine. Exits with
1 if a number of metrics.json or a column of requests.parquet that both checkouts have differs.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # of this checkout, whatever is installed

from large_inputs import block_rows, write_blocks, write_conversations
from measured import CommandFailed, Measured, measure

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 1800.0
SIMPLE = ("experiment=simple",)
BARE = """
from cachelab.engine.sim import SimEngine
from cachelab.engine.sim_core import fitted_core
from cachelab.order.all_at_once import AllAtOnce
engine = SimEngine(block_size=8, max_model_len=2048, max_num_seqs=1, num_blocks=257)
fitted_core(engine, AllAtOnce().arrange([]))
"""
"""vLLM's import and its engine core as experiment=simple builds it, without dataset, metrics, tracking and report."""


@dataclass(frozen=True)
class Work:
    """One row of the table per tool. `warm`: run once before the measured rounds, so that tokens are cached."""

    name: str
    arguments: tuple[str, ...] = ()
    peers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Tool -> its command after the Python of --peers."""
    cannot: str = ""
    """What other tools cannot do here."""
    warm: bool = False


def main() -> int:
    """Print the table; 1 if a result differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="an earlier checkout")
    parser.add_argument("--sessions", type=Path, help="a folder of agent sessions; without it no block trace")
    parser.add_argument("--sharegpt", type=Path, default=ROOT / "src/cachelab/dataset/sample.json")
    parser.add_argument("--peers", type=Path, help="a Python with the other tools")
    parser.add_argument("--copies", type=int, default=134)
    parser.add_argument("--conversations", type=int, default=70_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of rows, or their first letters")
    options = parser.parse_args()

    if options.before and not (options.before / "src" / "cachelab").is_dir():
        parser.error(f"--before {options.before}: this is no checkout of cachelab")  # else the installed one would run
    for path in filter(None, (options.sessions, options.sharegpt, options.peers)):
        if not path.exists():
            parser.error(f"{path} does not exist")
    checkouts = {"before": options.before.resolve()} if options.before else {}
    checkouts["after"] = ROOT
    equal = True
    with tempfile.TemporaryDirectory() as scratch:
        for work in works(Path(scratch), options):
            if options.only is None or any(work.name.startswith(name) for name in options.only):
                equal &= row(work, checkouts, options.peers, options.rounds, Path(scratch))
    return 0 if equal else 1


def works(scratch: Path, options: argparse.Namespace) -> Iterator[Work]:
    """The rows, each with its input made just before it is needed and removed after it."""
    if options.sessions:
        rows = block_rows(options.sessions, scratch / "sessions")
        for kind, strings in (("int", False), ("string", True)):
            path = scratch / "blocks.jsonl"
            write_blocks(rows, options.copies, path, strings=strings)
            accesses = options.copies * sum(len(row["hash_ids"]) for row in rows)
            name = f"{kind} ids, {options.copies * len(rows):,} requests, {accesses:,} blocks, {size_of(path)}"
            yield Work(
                name,
                ("experiment=capacity", "dataset=block_trace", f"dataset.path={path}", "engine.block_size=64"),
                {
                    "kvcache-simulator, LRU at its sizes": (
                        "-c", "from kvcache_sim.cli import main; raise SystemExit(main())", "run", "--trace", str(path),
                        "--block-size", "64", "--model", "llama-3.1-8b", "--policies", "lru", "--no-progress",
                    ),
                    "llmtrafficlens profile": (
                        "-m", "llmtrafficlens.cli", "profile", str(path), "--format", "bailian", "--block-size", "64",
                        "-o", str(scratch / "lens"),
                    ),
                },
                "kvlint reads no block traces",
            )  # fmt: skip
            path.unlink()
    path = scratch / "chats.json"
    write_conversations(options.sharegpt, options.conversations, path)
    yield Work(
        f"ShareGPT, {options.conversations:,} conversations, {size_of(path)}, replay, first run",
        ("experiment=multi_turn", "engine=replay", "filter=none", "dataset=sharegpt", f"dataset.path={path}"),
        cannot="kvlint needs one row a request with its whole history; the other two read no text",
    )
    path.unlink()
    yield Work("experiment=simple, sim, MLflow", SIMPLE, cannot="no other tool runs vLLM's scheduler", warm=True)
    yield Work("experiment=simple, replay, MLflow", (*SIMPLE, "engine=replay"), warm=True)
    yield Work("experiment=simple, replay, tracking=none", (*SIMPLE, "engine=replay", "tracking=none"), warm=True)
    chats, model = request_rows(options.sharegpt, scratch)
    common = ("dataset=chat", f"dataset.path={chats}", "dataset.rows=request", "tokenizer=huggingface")
    local = (
        "experiment=multi_turn", *common, f"tokenizer.model={model}", "engine=replay", "tracking=none", "filter=none",
        "engine.max_model_len=null",
    )  # fmt: skip
    lint = ("-c", "from kvlint.cli import app; app()", "analyze", str(chats), "--model", str(model))
    number = sum(1 for _ in chats.open(encoding="utf-8"))
    yield Work(f"{number:,} requests, Hugging Face folder, first run", local, {"kvlint analyze": lint})
    yield Work(f"{number:,} requests, Hugging Face folder, tokens cached", local, {"kvlint analyze": lint}, warm=True)


def request_rows(source: Path, scratch: Path) -> tuple[Path, Path]:
    """A file of OpenAI requests, one for each user message of a ShareGPT file, and a model's folder."""
    from chat_models import CHATML, save_deepseek

    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    path = scratch / "requests.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, chat in enumerate(json.loads(source.read_text(encoding="utf-8"))):
            messages: list[Mapping[str, str]] = []
            for turn in chat["conversations"]:
                messages.append({"role": roles[turn["from"]], "content": turn["value"]})
                if turn["from"] == "human" and messages[0]["role"] != "assistant":
                    request = {"session_id": str(number), "model": "m", "messages": messages}
                    file.write(json.dumps(request) + "\n")
    return path, Path(save_deepseek(scratch / "model", CHATML))


def row(work: Work, checkouts: Mapping[str, Path], peers: Path | None, rounds: int, scratch: Path) -> bool:
    """Measure and print one row of work; False if the checkouts' results differ."""
    print(f"\n{work.name}", flush=True)
    sums: dict[str, Mapping[str, str]] = {}
    took: dict[str, list[Measured]] = {}
    for round_ in range(rounds + work.warm):
        for name, checkout in checkouts.items():
            folder = scratch / f"run_{name}"
            caches = scratch / f"cache_{name}_{work.name[:24]}_{0 if work.warm else round_}"
            try:
                one = ours(checkout, work.arguments, folder, caches)
            except CommandFailed as error:
                print(f"    {name}: {error}", flush=True)
                continue
            if not (work.warm and round_ == 0):
                took.setdefault(name, []).append(one)
                sums[name] = digests(folder)
    if ", sim," in work.name:
        bare = (sys.executable, "-c", BARE)
        took["vLLM alone (import, engine core)"] = [
            measure(bare, {"PYTHONPATH": str(ROOT / "src"), "VLLM_LOGGING_LEVEL": "ERROR"}) for _ in range(rounds)
        ]
    for tool, command in work.peers.items() if peers else ():
        try:
            took[tool] = [measure((str(peers), *command), {"PYTHONPATH": ""}, timeout_s=PATIENCE_S)]
        except CommandFailed as error:
            print(f"    {tool}: {error}", flush=True)
    base = statistics.median(one.cpu_s for one in took["after"]) if "after" in took else None
    print(f"    {'':36}{'CPU s':>9}{'wall s':>9}{'peak MB':>10}{'CPU, after = 1':>16}   results")
    for name, all_ in took.items():
        cpu, wall = (statistics.median(getattr(one, key) for one in all_) for key in ("cpu_s", "wall_s"))
        peak = max(one.peak_mb for one in all_)
        ratio = f"{cpu / base:.2f}" if base else "-"
        both = [sums[name][key] for key in sorted(set.intersection(*map(set, sums.values())))] if name in sums else []
        shown = hashlib.sha256("".join(both).encode()).hexdigest()[:12] if both else ""
        print(f"    {name:36}{cpu:9.1f}{wall:9.1f}{peak:10,.0f}{ratio:>16}   {shown}", flush=True)
    if work.cannot:
        print(f"    {work.cannot}")
    if len(sums) < 2:
        return True
    before, after = sums.values()
    if alone := sorted(before.keys() ^ after.keys()):
        print(f"    only in one of the two, not compared: {', '.join(alone)}")
    different = [name for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    if different:
        print(f"    RESULTS DIFFER: {', '.join(different)}")
    return not different


def ours(checkout: Path, arguments: Sequence[str], folder: Path, caches: Path) -> Measured:
    """Run cachelab of a checkout in an empty folder, with an empty token cache unless `caches` exists."""
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir()
    tracking = () if any(one.startswith("tracking=") for one in arguments) else ("tracking=mlflow",)
    command = [sys.executable, "-m", "cachelab", *arguments, *tracking, "hydra.run.dir=run"]
    env = {"PYTHONPATH": str(checkout / "src"), "HF_DATASETS_CACHE": str(caches), "PYTHONDONTWRITEBYTECODE": ""}
    return measure(command, env, folder, PATIENCE_S)


def digests(folder: Path) -> Mapping[str, str]:
    """A SHA-256 of each number and series of metrics.json and of each column of requests.parquet, by its name."""
    import pyarrow.parquet

    artifacts = folder / "run" / "artifacts"
    numbers = json.loads((artifacts / "metrics.json").read_text(encoding="utf-8"))
    made = {
        name: hashlib.sha256(json.dumps(value).encode())
        for part in ("values", "series")
        for name, value in numbers[part].items()
    }
    for batch in pyarrow.parquet.ParquetFile(artifacts / "requests.parquet").iter_batches(10_000):
        for name in batch.schema.names:
            column = made.setdefault(f"requests.parquet {name}", hashlib.sha256())
            column.update(json.dumps(batch.column(name).to_pylist(), default=str).encode())
    return {name: digest.hexdigest() for name, digest in made.items()}


def size_of(path: Path) -> str:
    """The size of a file for people."""
    return f"{os.path.getsize(path) / 1e6:,.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
