"""Measures what the client of engine=server costs, next to vLLM's own bench client and AIPerf.

    python bench/server_client.py [--aiperf FOLDER/bin/aiperf] [--rounds N] [--requests N] [--connections 1 16]
                                  [--prompt-tokens N] [--reply-tokens N]

All clients send the same prompts to /v1/completions of bench/instant_server.py, which runs in a process of its own and
answers at once: the client is the limit. cachelab and vLLM send token ids, AIPerf as many letters of text. Replies are
streamed. Requests/s are the server's count, from the first request to the last answer. CPU is the client's. For
cachelab it is that of `ServerEngine.run`, for vLLM that of `benchmark` in vllm.benchmarks.serve, each in a process of
its own. AIPerf (0.13.0) is several processes: its CPU is the difference of a run of 4 N requests and one of N, divided
by 3 N, so that its start does not count. Seconds depend on the machine: compare only within one run.
"""

import argparse
import asyncio
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request as Page
from urllib.request import urlopen

from measured import CommandFailed, measure

from cachelab.dataset.synthetic import Synthetic
from cachelab.order.all_at_once import AllAtOnce
from cachelab.request import Request
from cachelab.trace.multi_turn import MultiTurn

MODEL = "instant"
GROWTH = 4  # the larger of AIPerf's two runs


def main() -> None:
    """Print one table per number of connections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aiperf", help="the program aiperf of an environment that has aiperf 0.13.0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--prompt-tokens", type=int, default=1000)
    parser.add_argument("--reply-tokens", type=int, default=32)
    parser.add_argument("--client", choices=sorted(CLIENTS), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        print(json.dumps(rounds_of(options)))
        return
    print(
        f"{options.requests:,} prompts of {options.prompt_tokens:,} tokens, replies of {options.reply_tokens} tokens, "
        f"median of {options.rounds} rounds"
    )
    with server(options.prompt_tokens, options.reply_tokens) as url:
        for connections in options.connections:
            print(f"\n{connections} connections{'':10}{'requests/s':>12}{'client CPU, ms/request':>24}   rounds")
            for name in sorted(CLIENTS):
                show(name, child(name, url, connections, options))
            if options.aiperf:
                try:
                    show("aiperf", [aiperf(url, connections, options)])
                except CommandFailed as error:
                    print(f"  {'aiperf':20} did not run: {error}")


def show(name: str, rounds: list[dict[str, float]]) -> None:
    """Print the medians of a client, and the requests/s of each round."""
    rates = [found["rate"] for found in rounds]
    cpu_ms = statistics.median(found["cpu_ms"] for found in rounds)
    each = ", ".join(f"{rate:,.0f}" for rate in rates)
    print(f"  {name:20}{statistics.median(rates):12,.0f}{cpu_ms:24.2f}   {each}")


@contextlib.contextmanager
def server(prompt_tokens: int, reply_tokens: int) -> Iterator[str]:
    """The address of the server, which is killed at the end."""
    script = str(Path(__file__).with_name("instant_server.py"))
    command = [sys.executable, script, str(prompt_tokens), str(reply_tokens)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def child(name: str, url: str, connections: int, options: argparse.Namespace) -> list[dict[str, float]]:
    """The rounds of one client in a process of its own."""
    sizes = ("rounds", "requests", "prompt_tokens", "reply_tokens")
    arguments = [f"--{size.replace('_', '-')}={getattr(options, size)}" for size in sizes]
    command = [sys.executable, __file__, f"--client={name}", f"--url={url}", *arguments, f"--connections={connections}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def rounds_of(options: argparse.Namespace) -> list[dict[str, float]]:
    """Run one client in this process: the first round, which is not counted, and those that are."""
    requests = prompts(options.requests, options.prompt_tokens, options.reply_tokens)
    client, (connections,) = CLIENTS[options.client], options.connections
    client(options.url, requests[:50], connections)
    found = []
    for _ in range(options.rounds):
        reset(options.url)
        with contextlib.redirect_stdout(io.StringIO()):
            cpu_s = client(options.url, requests, connections)
        found.append({"rate": rate(options.url, len(requests)), "cpu_ms": 1000 * cpu_s / len(requests)})
    return found


def prompts(number: int, prompt_tokens: int, reply_tokens: int) -> list[Request]:
    """Single-turn requests of random tokens."""
    dataset = Synthetic(
        num_conversations=number, num_turns=1, prompt_tokens=prompt_tokens, turn_tokens=0, reply_tokens=reply_tokens
    )
    made: list[Any] = list(dataset.load().conversations)
    return list(MultiTurn().build(made).requests)


def cachelab(url: str, requests: list[Request], connections: int) -> float:
    """Seconds of CPU of ServerEngine.run."""
    from cachelab.engine.server.server_engine import ServerEngine

    engine, schedule = ServerEngine(url=url, max_connections=connections), AllAtOnce().arrange(requests)
    start = time.process_time()
    run = engine.run(schedule, lambda ended: None)
    used = time.process_time() - start
    wrong = sum(record.outcome != "completed" for record in run.records)
    if wrong:
        raise SystemExit(f"cachelab: {wrong} requests did not complete")
    return used


def vllm(url: str, requests: list[Request], connections: int) -> float:
    """Seconds of CPU of the measured part of `vllm bench serve`."""
    from vllm.benchmarks.datasets import SampleRequest
    from vllm.benchmarks.serve import TaskType, benchmark

    samples = [
        SampleRequest(one.prompt_ids.tolist(), len(one.prompt_ids), expected_output_len=len(one.reply_ids))
        for one in requests
    ]
    start = time.process_time()
    found = asyncio.run(
        benchmark(
            task_type=TaskType.GENERATION,
            endpoint_type="vllm",
            api_url=f"{url}/v1/completions",
            base_url=url,
            model_id=MODEL,
            model_name=MODEL,
            tokenizer=None,
            input_requests=samples,
            logprobs=None,
            request_rate=float("inf"),
            burstiness=1.0,
            disable_tqdm=True,
            num_warmups=0,
            profile=False,
            selected_percentile_metrics=["ttft"],
            selected_percentiles=[99.0],
            ignore_eos=True,
            goodput_config_dict={},
            max_concurrency=connections,
            lora_modules=None,
            extra_headers=None,
            extra_body={"temperature": 0.0, "return_token_ids": True},
            ready_check_timeout_sec=0,
        )
    )
    used = time.process_time() - start
    if found["completed"] != len(requests):
        raise SystemExit(f"vllm bench: {found['completed']} of {len(requests)} requests completed")
    return used


CLIENTS = {"cachelab": cachelab, "vllm bench serve": vllm}


def aiperf(url: str, connections: int, options: argparse.Namespace) -> dict[str, float]:
    """The rate of AIPerf's larger run, and the CPU of all its processes per request beyond the smaller run."""
    cpu_s = []
    for number in (options.requests, GROWTH * options.requests):
        reset(url)
        cpu_s.append(aiperf_seconds(url, number, connections, options))
        found = rate(url, number)
    return {"rate": found, "cpu_ms": 1000 * (cpu_s[1] - cpu_s[0]) / ((GROWTH - 1) * options.requests)}


def aiperf_seconds(url: str, number: int, connections: int, options: argparse.Namespace) -> float:
    """Seconds of CPU of one run of AIPerf, whose prompts are text: as many letters as the token ids take."""
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder, "prompts.jsonl")
        with texts.open("w", encoding="utf-8") as file:
            for one in prompts(number, options.prompt_tokens, options.reply_tokens):
                file.write(json.dumps({"text": " ".join(map(str, one.prompt_ids.tolist()))}) + "\n")
        save_tokenizer(Path(folder))
        command = (
            f"{options.aiperf} profile --model {MODEL} --url {url} --endpoint-type completions --streaming "
            f"--input-file {texts} --custom-dataset-type single_turn --concurrency {connections} "
            f"--request-count {number} --tokenizer {folder} --use-server-token-count --ui none "
            f"--extra-inputs max_tokens:{options.reply_tokens} --extra-inputs ignore_eos:true "
            f"--output-artifact-dir {folder}/out"
        )
        return measure(command.split(), timeout_s=300).cpu_s


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of two words, which AIPerf loads although the server counts the tokens."""
    vocabulary = {"[UNK]": 0, "a": 1}
    words: dict[str, Any] = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    whole = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": words}
    (folder / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def reset(url: str) -> None:
    """Let the server count from 0."""
    urlopen(Page(f"{url}/reset_prefix_cache", method="POST")).close()


def rate(url: str, number: int) -> float:
    """Requests/s as the server counted them. Ends the program if it did not get as many as it should."""
    with urlopen(f"{url}/counts") as page:
        counts = json.load(page)
    if counts["requests"] != number:
        raise SystemExit(f"the server got {counts['requests']} requests instead of {number}")
    return float(counts["requests"] / counts["seconds"])


if __name__ == "__main__":
    main()
