"""Measures what replicas cost: `replay` on a block trace next to Dynamo, and `sim` next to as many bare engine cores.

    python bench/fleet.py [--trace mooncake_conversation_trace.jsonl [--dynamo PYTHON]] [--rounds N]

`replay` is timed as a whole process (`python -m cachelab ... tracking=none`). PYTHON has ai-dynamo-runtime 1.6.1 and
ai-dynamo installed; of Dynamo only the call is timed, one request at a time, without its start. The bare cores run
the parts of the same requests one core after another, with the same executor, and keep no records. Compare only ratios
of one run: seconds depend on the machine. Each round measures everything once, one after the other; the simulator has
three times as many rounds. A cell is the median over the rounds of wall time, and of CPU time (user and system, of all
threads) in brackets.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cachelab.dataset.sample import Sample
from cachelab.engine.sim import SimEngine
from cachelab.engine.vllm import core as vllm_core
from cachelab.filter.thresholds import Thresholds
from cachelab.fleet.replicas import Replicas
from cachelab.order.all_at_once import AllAtOnce
from cachelab.request import Request, Schedule
from cachelab.tokenizer.cached_tokenizer import CachedTokenizer
from cachelab.tokenizer.mistral import Mistral
from cachelab.trace.single_turn import SingleTurn

DYNAMO = """
import resource, sys, time
from dynamo._core import run_mocker_trace_replay
trace, workers, blocks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
began, began_cpu = time.perf_counter(), cpu()
run_mocker_trace_replay([trace], extra_engine_args={"engine": {"block_size": 512, "num_gpu_blocks": blocks}},
    trace_block_size=512, num_workers=workers, router_mode="round_robin", replay_concurrency=1)
print(time.perf_counter() - began, cpu() - began_cpu)
"""
BLOCKS = 5637
SIZES = (1, 2, 4, 8, 16)
REPLAY, DYNAMO_CALL = "replay, whole process", "Dynamo, the call alone"


class Seconds(NamedTuple):
    """Of a call or of a process."""

    wall: float
    cpu: float


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, help="a block trace in blocks of 512 tokens; else only the simulator")
    parser.add_argument("--dynamo", help="a Python with Dynamo")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.trace:
        of_trace(options)
    conversations = CachedTokenizer(Mistral())(Sample().load())
    requests = SingleTurn().build(Thresholds().apply(conversations).kept).requests
    for num_replicas in (1, 2, 4):
        print(sim_line(requests, num_replicas, 3 * options.rounds), flush=True)


def of_trace(options: argparse.Namespace) -> None:
    """Print the table of the block trace."""
    names = (REPLAY, DYNAMO_CALL) if options.dynamo else (REPLAY,)
    found: dict[tuple[str, int], list[Seconds]] = {(name, n): [] for name in names for n in SIZES}
    replay_seconds(options.trace, 1)  # compiles the loops, which no later one does
    for _ in range(options.rounds):
        for n in SIZES:
            for name in names:
                measured = (
                    replay_seconds(options.trace, n)
                    if name == REPLAY
                    else dynamo_seconds(options.dynamo, options.trace, n)
                )
                found[name, n].append(measured)
                print(f"{name}, {n} replicas: {measured}", file=sys.stderr, flush=True)
    medians = {key: median(of) for key, of in found.items()}
    settings = f"blocks of 512, {BLOCKS:,} per replica, round_robin"
    print(f"{options.trace.name}, {settings}: seconds (CPU), {options.rounds} rounds")
    print(f"{'replicas':>10}" + "".join(f"{name:>26}" for name in names) + f"{'of one replica':>18}")
    for n in SIZES:
        cells = "".join(f"{medians[name, n].wall:>16.2f} ({medians[name, n].cpu:>6.2f})" for name in names)
        print(f"{n:>10}{cells}{medians[REPLAY, n].wall / medians[REPLAY, 1].wall:>17.2f}x", flush=True)


def median(found: Sequence[Seconds]) -> Seconds:
    """The median of each."""
    return Seconds(*(statistics.median(column) for column in zip(*found, strict=True)))


def replay_seconds(trace: Path, num_replicas: int) -> Seconds:
    """The seconds of a whole process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "cachelab", "engine=replay", "engine.rules=vllm", "engine.block_size=512",
            f"engine.num_blocks={BLOCKS + 1}", "order=by_arrival", "fleet=replicas",
            f"fleet.num_replicas={num_replicas}", f"dataset.path={trace}", "tracking=none", "artifacts=[]",
            f"hydra.run.dir={folder}/run",
        ]  # fmt: skip
        return seconds_of(lambda: subprocess.run(command, check=True, capture_output=True))


def dynamo_seconds(python: str, trace: Path, num_replicas: int) -> Seconds:
    """The seconds of Dynamo's call."""
    command = [python, "-c", DYNAMO, str(trace), str(num_replicas), str(BLOCKS)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, cpu = map(float, ran.stdout.split()[-2:])
    return Seconds(wall, cpu)


def sim_line(requests: list[Request], num_replicas: int, rounds: int) -> str:
    """Seconds of a fleet of simulators and of the bare cores, alternately, each without its start.

    The machine's speed changes between rounds by more than the fleet's own cost: the ratio is the median of the rounds'
    ratios, and their middle half is shown.
    """
    engine = SimEngine(max_num_seqs=8)
    schedule = AllAtOnce().arrange(requests)
    own: list[Seconds] = []
    bare: list[Seconds] = []
    build_seconds(engine, schedule, num_replicas)  # imports vLLM, which no later one does
    for _ in range(rounds):
        built = build_seconds(engine, schedule, num_replicas)
        fleet = seconds_of(lambda: Replicas(num_replicas).run(engine, schedule, lambda ended: None))
        own.append(Seconds(fleet.wall - built.wall, fleet.cpu - built.cpu))
        bare.append(bare_seconds(engine, requests, num_replicas))
    of_fleet, of_cores = median(own), median(bare)
    ratios = [a.cpu / b.cpu - 1 for a, b in zip(own, bare, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return (
        f"sim, {num_replicas} replicas, {len(requests)} requests: {of_fleet.wall:.2f} s ({of_fleet.cpu:.2f}), "
        f"bare cores {of_cores.wall:.2f} s ({of_cores.cpu:.2f}): {middle:+.1%} CPU time ({low:+.1%} to {high:+.1%})"
    )


def build_seconds(engine: SimEngine, schedule: Schedule, num_replicas: int) -> Seconds:
    """The seconds to build and to close the engine cores."""

    def build() -> None:
        with engine.drivers(schedule, num_replicas, lambda ended: None):
            pass

    return seconds_of(build)


def bare_seconds(engine: SimEngine, requests: list[Request], num_replicas: int) -> Seconds:
    """The seconds of as many bare cores, each with its part of the requests."""
    with engine.drivers(AllAtOnce().arrange(requests), num_replicas, lambda ended: None) as drivers:
        cores = [driver.core for driver in drivers]

        def run() -> None:
            for number, core in enumerate(cores):
                for request in requests[number::num_replicas]:
                    reply = request.reply_ids.tolist() or [0]
                    prompt = request.prompt_ids.tolist()
                    vllm_core.submit(core, vllm_core.new_request(core, request.id, prompt, reply, len(reply)))
                while core.scheduler.has_requests():
                    vllm_core.step(core)

        return seconds_of(run)


def seconds_of(run: Callable[[], object]) -> Seconds:
    """The seconds of a call, with the processes that it starts and waits for."""
    began, began_cpu = time.perf_counter(), cpu_seconds()
    run()
    return Seconds(time.perf_counter() - began, cpu_seconds() - began_cpu)


def cpu_seconds() -> float:
    """User and system time of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
