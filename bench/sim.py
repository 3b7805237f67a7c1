"""Measures the overhead of cachelab over vLLM: start-up time, and requests/s of engine=sim and a bare EngineCore loop.

    python bench/sim.py [--dataset FILE] [--rounds N] [--conversations N] [--layers | --max-num-seqs 8,64,256]

With --max-num-seqs there is a row for each number, as many users as sequences, no start-up time, and after it how much
faster the simulator is if it takes steps together (engine.decode=auto) than token by token. Their records are compared.
With --layers both loops have the layers of gpt-oss-20b, in two groups, and of Qwen3-Next, in four.

Both loops run in this process, alternately, on the same requests and with the same recorded executor. The bare loop
keeps no records. The rates are per second of this process's CPU time, so that other processes matter little. Compare
only ratios of one run: seconds depend on the machine.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cachelab.dataset.base import Dataset
from cachelab.dataset.sample import Sample
from cachelab.dataset.sharegpt import ShareGPT
from cachelab.engine.base import EngineRun
from cachelab.engine.sim import SimEngine
from cachelab.engine.sim_core import fitted_core
from cachelab.engine.vllm import core as vllm_core
from cachelab.filter.thresholds import Thresholds
from cachelab.order.by_conversation import ByConversation
from cachelab.order.sessions import Sessions
from cachelab.request import Request, Schedule
from cachelab.tokenizer.cached_tokenizer import CachedTokenizer
from cachelab.tokenizer.mistral import Mistral
from cachelab.trace.multi_turn import MultiTurn

FIRST_REQUEST = re.compile(r"^(\S+ \S+) INFO cachelab\.engine\.vllm\.driver: engine is up")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a ShareGPT file; default: the bundled sample")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--conversations", type=int, help="only the first of them")
    parser.add_argument("--layers", action="store_true", help="models with several kinds of layers, no start-up time")
    parser.add_argument("--max-num-seqs", help="numbers, such as 8,64,256: only these rows")
    options = parser.parse_args()
    sizes = [int(size) for size in options.max_num_seqs.split(",")] if options.max_num_seqs else []

    for tracking in () if options.layers or sizes else ("none", "mlflow"):
        first = seconds_to_first_request(tracking)
        print(f"process start to first request, experiment=multi_turn tracking={tracking}: {first:.1f} s")

    dataset: Dataset = ShareGPT(path=str(options.dataset)) if options.dataset else Sample()
    loaded = dataset.load()
    conversations = CachedTokenizer(Mistral())(loaded)
    requests = MultiTurn().build(Thresholds(max_conversations=options.conversations).apply(conversations).kept).requests
    print(f"\n{len({r.conversation_id for r in requests})} conversations, {len(requests)} requests of {loaded.source}")
    print(f"{'':34}{'requests/CPU s, median':>22}{'bare EngineCore':>18}{'own cost':>10}   rounds: own cost")
    for size in sizes:
        schedule = Sessions(num_users=size).arrange(requests)
        engine = SimEngine(max_num_seqs=size, decode="token")
        compare(f"max_num_seqs={size}, {size} users", engine, schedule, options.rounds)
        print(f"    {together(engine, schedule, options.rounds)}", flush=True)
    if sizes:
        return
    one, eight = ByConversation().arrange(requests), Sessions(num_users=8).arrange(requests)
    rows = (
        [
            ("gpt-oss-20b, one user", preset("gpt-oss-20b", 1), one),
            ("gpt-oss-20b, 8 users", preset("gpt-oss-20b", 8), eight),
            ("Qwen3-Next, one user", preset("qwen3-next-80b-a3b", 1), one),
            ("Qwen3-Next, 8 users", preset("qwen3-next-80b-a3b", 8), eight),
        ]
        if options.layers
        else [
            ("max_num_seqs=1 (jump), in sequence", SimEngine(max_num_seqs=1), one),
            ("max_num_seqs=8, 8 users", SimEngine(max_num_seqs=8, decode="token"), eight),
        ]
    )
    for name, engine, schedule in rows:
        compare(name, engine, schedule, options.rounds)
    if options.layers:
        return
    print(f"\na further engine in this process: {statistics.median(build_seconds() for _ in range(5)) * 1000:.0f} ms")


def preset(model: str, max_num_seqs: int) -> SimEngine:
    """The simulator with the layers of an option of conf/model and 10 GiB."""
    import yaml

    from cachelab.composition import config_dir

    settings = yaml.safe_load((config_dir() / "model" / f"{model}.yaml").read_text(encoding="utf-8"))
    return SimEngine(**settings, max_model_len=8192, max_num_seqs=max_num_seqs, kv_cache_gib=10.0)


def compare(name: str, engine: SimEngine, schedule: Schedule, rounds: int) -> None:
    """Print one row: median rates, and cachelab's own time as a share of the bare loop's time."""
    fits = [r for r in schedule if len(r.prompt_ids) + len(r.reply_ids) <= engine.max_model_len]
    lanes = {r.id for r in fits}
    stages = tuple(tuple(tuple(r for r in lane if r.id in lanes) for lane in stage) for stage in schedule.stages)
    same = Schedule(stages)
    bare_loop(engine, Schedule(stages))  # warms both: the first engine of a process imports vLLM
    own, bare = [], []
    for _ in range(rounds):
        bare.append(seconds(lambda: bare_loop(engine, same), time.process_time))
        own.append(seconds(lambda: engine.run(same, lambda ended: None), time.process_time))
    cost = [a / b - 1 for a, b in zip(own, bare, strict=True)]
    rate, bare_rate = len(fits) / statistics.median(own), len(fits) / statistics.median(bare)
    spread = ", ".join(f"{100 * c:+.1f} %" for c in cost)
    print(f"{name:34}{rate:22.0f}{bare_rate:18.0f}{100 * statistics.median(cost):9.1f}%   {spread}")


def together(engine: SimEngine, schedule: Schedule, rounds: int) -> str:
    """How much faster the simulator is with steps taken together, and whether the records are the same."""
    gains, equal = [], True
    runs: list[EngineRun] = []
    auto = replace(engine, decode="auto")
    for _ in range(rounds):
        one_by_one = seconds(lambda: runs.append(engine.run(schedule, lambda ended: None)), time.process_time)
        at_once = seconds(lambda: runs.append(auto.run(schedule, lambda ended: None)), time.process_time)
        gains.append(one_by_one / at_once)
        first, second = runs.pop(), runs.pop()
        equal &= first.records == second.records and first.counters == second.counters
    spread = ", ".join(f"{gain:.2f}" for gain in gains)
    same = "records and counters are equal" if equal else "RECORDS DIFFER"
    return f"steps together: {statistics.median(gains):.2f} times as fast; {same}   rounds: {spread}"


def bare_loop(engine: SimEngine, schedule: Schedule) -> None:
    """Run the schedule with the fewest calls: build, submit, step. Nothing is recorded."""
    core, _ = fitted_core(engine, schedule)
    core.model_executor.jump = engine.may_jump  # type: ignore[attr-defined]
    for stage in schedule.stages:
        waiting = {id(lane): iter(lane) for lane in stage}
        lane_of: dict[str, int] = {}

        def start(lane: int, waiting: dict[int, "object"] = waiting, lane_of: dict[str, int] = lane_of) -> None:
            request: Request | None = next(waiting[lane], None)  # type: ignore[call-overload]
            if request is not None:
                lane_of[request.id] = lane
                reply = request.reply_ids.tolist() or [0]
                prompt = request.prompt_ids.tolist()
                vllm_core.submit(core, vllm_core.new_request(core, request.id, prompt, reply, len(reply)))

        for lane in waiting:
            start(lane)
        while lane_of:
            for batch in (core.step_fn()[0] or {}).values():
                for output in batch.outputs:
                    if output.finish_reason is not None:
                        start(lane_of.pop(output.request_id))
    vllm_core.close(core)


def build_seconds() -> float:
    """Seconds to build and close an engine in a process that has built one before."""
    return seconds(lambda: vllm_core.close(fitted_core(SimEngine(), Schedule(()))[0]))


def seconds(what: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """The seconds of a call, by default of wall-clock time."""
    start = clock()
    what()
    return clock() - start


def seconds_to_first_request(tracking: str) -> float:
    """Seconds from the start of a new process to its first request, by the job's own log."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cachelab", "experiment=multi_turn", f"tracking={tracking}"]
        start = time.time()
        subprocess.run([*command, f"hydra.run.dir={folder}"], cwd=folder, check=True, capture_output=True)
        for line in Path(folder, "cachelab.log").read_text().splitlines():
            if found := FIRST_REQUEST.match(line):
                return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f").timestamp() - start
    raise SystemExit("the log has no line of the first request")


if __name__ == "__main__":
    main()
