"""Measures other tools on the same trace and prints JSON. bench/replay.py runs it with a Python that has these tools.

python peers.py kvcache-simulator|llmtrafficlens|libcachesim TRACE SIZES   (sizes in blocks of 512 tokens)
"""

import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCK = 512


def kvcache_simulator(trace: str, sizes: list[int]) -> dict[str, float]:
    """Reading, its C++ core alone (from its own binary files), and its complete command."""
    from kvcache_sim import cpp_backend
    from kvcache_sim.trace import parse_trace_file

    binary = cpp_backend.ensure_cpp_simulator()
    start = time.perf_counter()
    data = parse_trace_file(trace, block_size=BLOCK)
    parse_s = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        files = cpp_backend._write_binary_trace(data, Path(folder))
        command = [str(binary), "--policy", "batch", "--ids", str(files.ids), "--tokens", str(files.tokens)]
        command += ["--request-ends", str(files.request_ends), "--request-count", str(data.request_count)]
        command += ["--total-blocks", str(len(data.ids)), "--warmup-requests", str(data.request_count // 2)]
        command += ["--capacities", ",".join(map(str, sizes)), "--policies", "lru"]
        start = time.perf_counter()
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        core_s = time.perf_counter() - start
    hits = {str(point["cacheBlocks"]): point["lru"]["hitRate"] for point in found["points"]}
    del data
    # llama-3.1-8b in 16 bits has 128 KiB per token, 64 MiB per block: these budgets are the same numbers of blocks
    budgets = ",".join(str(size * BLOCK * 131072 / 2**30) for size in sizes)
    script = "from kvcache_sim.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", script, "run", "--trace", trace, "--block-size", str(BLOCK)]
    command += ["--model", "llama-3.1-8b", "--policies", "lru", "--budgets-gib", budgets, "--format", "json"]
    start = time.perf_counter()
    subprocess.run([*command, "--no-progress"], check=True, capture_output=True)
    whole_s = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"parse_s": parse_s, "core_s": core_s, "whole_s": whole_s, "peak_mb": peak_mb, "hits": hits}  # type: ignore[dict-item]


def llmtrafficlens(trace: str, sizes: list[int]) -> dict[str, float]:
    """Its curve, in Python."""
    from llmtrafficlens.adapters import read_hashed_jsonl
    from llmtrafficlens.metrics import capacity_curve

    start = time.perf_counter()
    requests = read_hashed_jsonl(trace, BLOCK)
    parse_s = time.perf_counter() - start
    start = time.perf_counter()
    capacity_curve(requests, BLOCK, [size * BLOCK for size in sizes])
    core_s = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"parse_s": parse_s, "core_s": core_s, "whole_s": parse_s + core_s, "peak_mb": peak_mb}


def libcachesim(trace: str, sizes: list[int]) -> dict[str, float]:
    """Its LRU of single blocks, in C++, from a binary trace. Reading the JSON is not measured."""
    import libcachesim as lcs

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.oracleGeneral"
        with path.open("wb") as file, open(trace, encoding="utf-8") as lines:
            for second, line in enumerate(lines):
                for block in json.loads(line)["hash_ids"]:
                    file.write(struct.pack("<IQIq", second, block + 1, 1, -2))
        start = time.perf_counter()
        for size in sizes:
            reader = lcs.TraceReader(str(path), lcs.TraceType.ORACLE_GENERAL_TRACE)
            lcs.LRU(cache_size=size).process_trace(reader)
        core_s = time.perf_counter() - start
    return {"core_s": core_s, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


PEERS = {"kvcache-simulator": kvcache_simulator, "llmtrafficlens": llmtrafficlens, "libcachesim": libcachesim}

if __name__ == "__main__":
    print(json.dumps(PEERS[sys.argv[1]](sys.argv[2], [int(size) for size in sys.argv[3].split(",")])))
