"""Measures the replay: the whole LRU curve and other tools' twelve points, engine=replay and engine=sim.

    python bench/replay.py --trace MOONCAKE.jsonl [--sharegpt FILE] [--peers PYTHON] [--copies 50] [--rounds 5]

`--peers` is a Python with kvcache-simulator, llmtrafficlens and libcachesim (default: this one). The trace is measured
once as it is, and once repeated with disjoint ids. Compare only ratios of one run: seconds depend on the machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTHS = (10, 10, 11, 9)
SIZES = [32, 128, 512, 1409, 2048, 4096, 5637, 8192, 11275, 22550, 32768, 65536]

OWN = """
import json, resource, sys, time
from cachelab.dataset.block_columns import read_block_columns
from cachelab.prefix_cache.hit_rate_curve import LruCurve
path, sizes = sys.argv[1], [int(size) for size in sys.argv[2].split(",")]
warm, rounds, curve = sys.argv[3], int(sys.argv[4]), None
read_block_columns(warm, 512).accesses(); LruCurve.of(read_block_columns(warm, 512).accesses()).rates(sizes)
found = {"parse_s": [], "core_s": [], "whole_s": []}
for _ in range(rounds):
    curve = None
    start = time.perf_counter(); columns = read_block_columns(path, 512); parsed = time.perf_counter()
    curve = LruCurve.of(columns.accesses()); rates = curve.rates(sizes); end = time.perf_counter()
    found["parse_s"].append(parsed - start); found["core_s"].append(end - parsed); found["whole_s"].append(end - start)
found["hits"] = dict(zip(map(str, sizes), rates.steady.tolist()))
found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(found))
"""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, help="Mooncake's conversation trace")
    parser.add_argument("--sharegpt", type=Path, help="a ShareGPT file; default: the bundled sample")
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--copies", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.trace:
        with tempfile.TemporaryDirectory() as folder:
            many = Path(folder) / "many.jsonl"
            repeat(options.trace, many, options.copies)
            once = curve(options.trace, 1, options)
            repeated = curve(many, options.copies, options)
        growth = repeated["core_s"] / once["core_s"]
        print(f"\ncost of our core from 1 x to {options.copies} x: {growth:.1f} x")
    engines(options.sharegpt, options.rounds)
    trials(options.sharegpt)


def repeat(trace: Path, to: Path, copies: int) -> None:
    """Write the trace `copies` times, each time with different ids."""
    rows = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
    step = 1 + max(max(row["hash_ids"], default=0) for row in rows)
    with to.open("w", encoding="utf-8") as file:
        for copy in range(copies):
            for row in rows:
                file.write(json.dumps({**row, "hash_ids": [id + copy * step for id in row["hash_ids"]]}) + "\n")


def curve(trace: Path, copies: int, options: argparse.Namespace) -> dict[str, float]:
    """Print one table: our whole curve, then each peer's twelve points. Returns our median seconds."""
    sizes = ",".join(map(str, SIZES))
    command = [sys.executable, "-c", OWN, str(trace), sizes, str(options.trace), str(options.rounds)]
    own = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"\nMooncake conversation trace x {copies}: LRU at {len(SIZES)} sizes (ours: at every size), seconds")
    print(f"{'':28}{'read':>10}{'core':>10}{'read+core':>11}{'peak MB':>9}   ratio to ours: core, read+core, memory")
    median = {name: statistics.median(own[name]) for name in ("parse_s", "core_s", "whole_s")}
    spread = ", ".join(f"{1000 * value:.0f}" for value in own["core_s"])
    print(
        f"{'cachelab (warm process)':28}{median['parse_s']:10.3f}{median['core_s']:10.4f}{median['whole_s']:11.3f}"
        f"{own['peak_mb']:9.0f}   core of each round, ms: {spread}"
    )
    for peer in ("kvcache-simulator", "llmtrafficlens", "libcachesim"):
        if copies > 2 and peer != "kvcache-simulator":
            print(f"{peer:28} skipped: it takes {copies} times as long, which is minutes")
            continue
        script = Path(__file__).with_name("peers.py")
        done = subprocess.run([options.peers, str(script), peer, str(trace), sizes], capture_output=True, text=True)
        if done.returncode:
            print(f"{peer:28} did not run: {done.stderr.strip().splitlines()[-1][:90]}")
            continue
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        cells = [found.get(name) for name in ("parse_s", "core_s", "whole_s", "peak_mb")]
        shown = "".join(
            "-".rjust(w) if c is None else f"{c:{w}.{d}f}" for c, w, d in zip(cells, WIDTHS, (2, 2, 2, 0), strict=True)
        )
        ratios = [found.get(name, 0) / median[name] for name in ("core_s", "whole_s")]
        print(f"{peer:28}{shown}   {ratios[0]:.0f} x, {ratios[1]:.0f} x, {found['peak_mb'] / own['peak_mb']:.1f} x")
        if "hits" in found:
            apart = max(abs(own["hits"][size] - rate) for size, rate in found["hits"].items() if rate)
            print(f"{'':28}its hit rates differ from ours by at most {apart:.1e}")
    return median


def prepared(sharegpt: Path | None) -> Any:
    """The conversations in token ids."""
    from cachelab.dataset.sample import Sample
    from cachelab.dataset.sharegpt import ShareGPT
    from cachelab.tokenizer.cached_tokenizer import CachedTokenizer
    from cachelab.tokenizer.mistral import Mistral

    dataset = ShareGPT(path=str(sharegpt), repo_id="-", filename="-", revision=None) if sharegpt else Sample()
    return CachedTokenizer(Mistral())(dataset.load())


def engines(sharegpt: Path | None, rounds: int) -> None:
    """Requests/s of engine=replay and of engine=sim at max_num_seqs=1, on the same schedule."""
    from cachelab.engine.replay import ReplayEngine
    from cachelab.engine.sim import SimEngine
    from cachelab.filter.thresholds import Thresholds
    from cachelab.order.by_conversation import ByConversation
    from cachelab.trace.multi_turn import MultiTurn

    schedule = ByConversation().arrange(MultiTurn().build(Thresholds().apply(prepared(sharegpt)).kept).requests)
    pair = (ReplayEngine(), SimEngine(max_num_seqs=1))
    mismatches = sum(
        a != b for a, b in zip(*(engine.run(schedule, lambda n: None).records for engine in pair), strict=True)
    )
    replay_s, sim_s = [], []
    for _ in range(rounds):  # alternately, so that both run under the same load
        replay_s.append(seconds(lambda: pair[0].run(schedule, lambda n: None)))
        sim_s.append(seconds(lambda: pair[1].run(schedule, lambda n: None)))
    rates = [len(schedule) / statistics.median(times) for times in (replay_s, sim_s)]
    print(f"\n{len(schedule)} requests, one at a time; records that differ: {mismatches}")
    print(f"  replay {rates[0]:10,.0f} requests/s   rounds, ms: {', '.join(f'{1000 * s:.0f}' for s in replay_s)}")
    print(f"  sim    {rates[1]:10,.0f} requests/s   rounds, ms: {', '.join(f'{1000 * s:.0f}' for s in sim_s)}")
    print(f"  ratio  {rates[0] / rates[1]:10,.0f} x")


def trials(sharegpt: Path | None, number: int = 100) -> None:
    """Measure 100 Optuna trials over the filter's limits. The conversations are tokenised once."""
    import optuna

    from cachelab.engine.replay import ReplayEngine
    from cachelab.filter.thresholds import Thresholds
    from cachelab.metrics.base import measure
    from cachelab.metrics.hit_rate import METRICS
    from cachelab.metrics.observation import Observation
    from cachelab.order.by_conversation import ByConversation
    from cachelab.trace.multi_turn import MultiTurn

    conversations = prepared(sharegpt)
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        limits = {
            "min_turns": trial.suggest_int("min_turns", 1, 4),
            "max_prompt_tokens": trial.suggest_int("max", 100, 8000),
        }
        kept = Thresholds(**limits, keep="prefix").apply(conversations).kept
        if not kept:
            return 0.0
        requests = MultiTurn().build(kept).requests
        run = ReplayEngine(num_blocks=1024).run(ByConversation().arrange(requests), lambda n: None)
        return measure(METRICS, Observation.of(requests, run)).values.get("hit_rate/first_prefill", 0.0)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    took = seconds(lambda: study.optimize(objective, number))
    print(f"\n{number} Optuna trials over filter limits, engine=replay: {took:.1f} s")


def seconds(what: Callable[[], object]) -> float:
    """The seconds of a call."""
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
