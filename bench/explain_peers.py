"""Runs another tool on a file of requests and prints JSON. bench/explain_rivals.py runs it with a Python that has them.

    python explain_peers.py kvlint|prefixlens|prefixguard|prefixcash|cachelint FILE.jsonl MODEL_FOLDER

Each row has what each tool can read: `messages` and `tools`, `token_ids` of the rendered prompt, and `usage`. The
result has `labels` (what the tool names -> how often), `hit_rate` (as it reports it, None: it reports none),
`after_fix` (the hit rate that it reports for its own fix, None: it has none), `seconds` and `peak_mb` of this process.
"""

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

BLOCK = "16"
ENDLESS = "1000000"


def kvlint(path: str, model: str) -> dict[str, Any]:
    """`kvlint lint`, whose time and memory count, then `kvlint fix` and its hit rate."""
    code = "from kvlint.cli import app; app()"
    with tempfile.TemporaryDirectory() as folder:
        lint, fixed, after = (str(Path(folder) / name) for name in ("lint.json", "fixed.jsonl", "after.json"))
        start = time.perf_counter()
        _run(code, ["lint", path, "--model", model, "--block-size", BLOCK, "--json", lint])
        used = {"seconds": time.perf_counter() - start, "peak_mb": _peak_mb()}
        found = json.loads(Path(lint).read_text(encoding="utf-8"))
        _run(code, ["fix", path, "--model", model, "--block-size", BLOCK, "--apply", "--out", fixed])
        _run(code, ["analyze", fixed, "--model", model, "--block-size", BLOCK, "--json", after])
        after_fix = json.loads(Path(after).read_text(encoding="utf-8"))["sims"][0]["hit_rate"]
    labels = {one["rule_id"]: len(one["affected_request_ids"]) for one in found["findings"]}
    tokens = {one["rule_id"]: one["est_tokens_lost"] for one in found["findings"]}
    return {"labels": labels, "tokens": tokens, "hit_rate": found["sims"][0]["hit_rate"], "after_fix": after_fix} | used


def prefixlens(path: str, model: str) -> dict[str, Any]:
    """`prefixlens analyze`, which reads token ids and names positions, not causes."""
    code = "from prefixlens.cli import main; import sys; sys.exit(main())"
    out = _run(code, ["analyze", path, "--block-size", BLOCK, "--capacity-blocks", ENDLESS, "--json"])
    found = json.loads(out)
    places = found["by_tag_divergence"]["route"]["all"][:5]
    labels = {f"block {one['block_position']}": one["miss_count"] for one in places}
    return {"labels": labels, "hit_rate": found["hit_rate"]}


def prefixguard(path: str, model: str) -> dict[str, Any]:
    """Its guard, which observes each request of a session."""
    from prefixguard import PrefixGuard

    guard, labels = PrefixGuard(), Counter[str]()
    for row in _rows(path):
        system, *messages = row["messages"]
        report = guard.observe(messages, system=system["content"], tools=row["tools"], session=row["session_id"])
        labels.update({finding.cause for finding in report.findings})
    return {"labels": labels, "hit_rate": guard.summary()["prefix_hit_ratio"]}


def prefixcash(path: str, model: str) -> dict[str, Any]:
    """`prefixcash diagnose`, within sessions. Its hit rate is that of the usage fields, which are given to it."""
    found = json.loads(_run("from prefixcash.cli.main import cli; cli()", ["diagnose", "--file", path, "--json"]))
    findings = [finding for session in found.values() for finding in session]
    return {"labels": Counter(kind for one in findings for kind in {cause["kind"] for cause in one["causes"]})}


def cachelint(path: str, model: str) -> dict[str, Any]:
    """`cachelint analyze`: the first difference in the whole file."""
    code = "from cachelint.cli import main; import sys; sys.exit(main())"
    out = _run(code, ["analyze", path, "--provider", "openai"])
    (line,) = [line for line in out.splitlines() if line.startswith("First divergence: ")]
    return {"labels": {line.removeprefix("First divergence: ").replace("(", "").split(",")[0].rstrip(")"): 1}}


def _rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def _peak_mb() -> float:
    """Peak memory of this process or its largest child."""
    # getrusage would count the pages of the process that started this one.
    (own,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return max(int(own), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def _run(code: str, arguments: list[str]) -> str:
    """The output of the tool's own command. Raises RuntimeError with the end of its error output."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip()[-300:])
    return done.stdout


TOOLS = {f.__name__: f for f in (kvlint, prefixlens, prefixguard, prefixcash, cachelint)}

if __name__ == "__main__":
    started = time.perf_counter()
    try:
        result = {"hit_rate": None, "after_fix": None} | TOOLS[sys.argv[1]](sys.argv[2], sys.argv[3])
    except RuntimeError as error:
        result = {"error": str(error)}
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": _peak_mb()} | result))
