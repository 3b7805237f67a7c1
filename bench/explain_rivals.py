"""Compares `experiment=explain` with other tools on workloads in which known causes were planted.

    python bench/explain_rivals.py --chats TAU_BENCH.json [--peers PYTHON] [--conversations N] [--only WORKLOAD ...]

`--peers` is a Python with kvlint, prefixlens, prefixguard, prefixcash and cachelint (extra `rivals`). It need not be
this one. Every tool reads the same requests, each in the form that it understands, with DeepSeek's vocabulary and a
small chat template. vLLM's own hit rate is that of `engine=sim` with one request at a time and a cache that evicts
nothing. Compare only ratios of one run: seconds depend on the machine.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from measured import CommandFailed, measure
from planted_causes import PLANTS, WORKLOADS, Row, planted, request_rows, write_rows

BLOCKS = 300_000  # more than any of these workloads fills
TOOLS = ("cachelab", "kvlint", "prefixlens", "prefixguard", "prefixcash", "cachelint")
HERE = Path(__file__).parent

NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "time": {
        "cachelab": ("date_or_time",),
        "kvlint": ("dynamic_time",),
        "prefixguard": ("VOLATILE_CONTENT",),
        "prefixcash": ("dynamic_time", "dynamic_date", "dynamic_datetime", "dynamic_iso_datetime"),
    },
    "id": {
        "cachelab": ("id_or_number",),
        "kvlint": ("dynamic_id",),
        "prefixguard": ("VOLATILE_CONTENT",),
        "prefixcash": ("dynamic_uuid",),
    },
    "user": {"cachelab": ("user_field",), "kvlint": ("user_in_system",)},
    "tool_order": {"cachelab": ("order",), "kvlint": ("key_order",), "prefixguard": ("TOOL_REORDER",)},
    "key_order": {
        "cachelab": ("order",),
        "kvlint": ("key_order",),
        "prefixguard": ("TOOL_SCHEMA_DRIFT", "NON_DETERMINISTIC_SERIALIZATION"),
    },
    "tools_replaced": {"cachelab": ("tools_replaced",), "prefixguard": ("TOOL_SET_CHANGED",)},
    "white_space": {"cachelab": ("white_space",), "kvlint": ("whitespace_drift",)},
    "system_replaced": {"cachelab": ("system_replaced",), "prefixguard": ("SYSTEM_MUTATED",)},
    "history_compacted": {"cachelab": ("history_compacted",), "prefixguard": ("COMPACTION",)},
    "history_truncated": {"cachelab": ("history_truncated",), "prefixguard": ("HISTORY_DROP",)},
    "message_edited": {"cachelab": ("message_edited",), "prefixguard": ("HISTORY_REWRITE",)},
    "reply_rewritten": {"cachelab": ("reply_rewritten",)},
    "reply_missing": {"cachelab": ("reply_missing",)},
}
"""Planted cause -> tool -> the tool's own names for it. A tool without an entry has no name for that cause."""

PLACES = {
    "prefixguard": ("SYSTEM_MUTATED", "TOOL_SCHEMA_DRIFT", "TOOL_SET_CHANGED", "HISTORY_REWRITE", "HISTORY_DROP"),
    "prefixcash": ("content_change", "dynamic_number", "high_entropy"),
    "cachelint": ("messages[0].content text_changed", "tools[0] object_changed", "tools[0] value_changed"),
}
"""Names that say that something changed, or where, but not what."""


def main() -> None:
    """Print one table per question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=Path, required=True, help="tau-bench trajectories")
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--conversations", type=int, default=None, help="how many of the file (default: all)")
    parser.add_argument("--only", nargs="*", choices=sorted(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--json", type=Path, help="also write everything that was measured")
    parser.add_argument("--earlier", type=Path, help="a file of --json: take the other tools' results from it")
    options = parser.parse_args()
    rows = request_rows(options.chats, options.conversations)
    earlier = json.loads(options.earlier.read_text(encoding="utf-8")) if options.earlier else {}
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        model = saved_model(Path(scratch) / "model")
        for number, name in enumerate(dict.fromkeys(["untouched", *options.only])):
            changed = planted(rows, WORKLOADS[name])
            folder = Path(scratch) / str(number)
            folder.mkdir()
            if name in earlier:
                write_rows(changed, folder / "own.jsonl")
                own = of_cachelab(folder / "own.jsonl", model, folder / "run")
                found[name] = earlier[name] | {"cachelab": own}
            else:
                found[name] = measured(changed, model, options.peers, folder)
            if options.json:
                options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(f"measured: {name}", file=sys.stderr)
    print_causes(found)
    print_hit_rates(found)
    print_costs(found)
    print_labels(found)


def measured(rows: Sequence[Row], model: str, peers: str, folder: Path) -> dict[str, Any]:
    """What each tool says about one workload, and vLLM's own hit rate."""
    own, theirs = folder / "own.jsonl", folder / "theirs.jsonl"
    write_rows(rows, own)
    rates, prompts, cached = of_vllm(own, model, folder / "vllm")
    for row, ids, hits in zip(rows, prompts, cached, strict=True):
        row["token_ids"] = ids
        row["route"] = "all"  # prefixlens shows where the requests with one tag differ
        row["usage"] = {"input_tokens": len(ids), "cache_read_tokens": hits, "output_tokens": 1}
    write_rows(rows, theirs)
    found: dict[str, Any] = {"vllm": rates, "requests": len(rows), "tokens": sum(map(len, prompts))}
    found["cachelab"] = of_cachelab(own, model, folder / "run")
    for tool in TOOLS[1:]:
        command = [peers, str(HERE / "explain_peers.py"), tool, str(theirs), model]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=without_our_path())
        found[tool] = json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr.strip()[-300:]}
    return found


def of_vllm(path: Path, model: str, folder: Path) -> tuple[dict[str, float], list[list[int]], list[int]]:
    """The hit rates of vLLM's own manager, requests in the order of the file; prompt and cached tokens of each."""
    import cachelab
    from cachelab.dataset.trace_file import TraceFile

    result = cachelab.run(
        "engine=sim", "engine.max_num_seqs=1", f"engine.num_blocks={BLOCKS}", "order=by_conversation",
        "artifacts=[requests,trace]", f"hydra.run.dir={folder}", *settings(path, model),
    )  # fmt: skip
    table = result.requests.sort_values("prefill_index")
    chats: Any = TraceFile(str(folder / "artifacts" / "trace.jsonl.gz")).load().conversations
    prompts = {(chat.id, turn): one.prompt_ids.tolist() for chat in chats for turn, one in enumerate(chat.turns)}
    keys = zip(table.conversation_id, table.turn_index, strict=True)
    rates = {key: result.metrics[key] for key in ("hit_rate/vllm_gpu", "hit_rate/first_prefill")}
    return rates, [prompts[key] for key in keys], table.cached_tokens.tolist()


def of_cachelab(path: Path, model: str, folder: Path) -> dict[str, Any]:
    """`experiment=explain` as a command of its own."""
    arguments = ["experiment=explain", "tracking=none", f"engine.num_blocks={BLOCKS}", "order=by_conversation"]
    command = [sys.executable, "-m", "cachelab", *arguments, "artifacts=[requests]", f"hydra.run.dir={folder}"]
    try:
        used = measure([*command, *settings(path, model)])
    except CommandFailed as error:
        return {"error": str(error)}
    with (folder / "artifacts" / "breaks.csv").open(encoding="utf-8") as file:
        causes = list(csv.DictReader(file))
    numbers = json.loads((folder / "artifacts" / "metrics.json").read_text(encoding="utf-8"))["values"]
    labels: dict[str, int] = {}
    for cause in causes:
        labels[cause["class"]] = labels.get(cause["class"], 0) + int(cause["requests"])
    return {
        "labels": labels,
        "causes": causes,
        "hit_rate": numbers["hit_rate/first_prefill_tokens"],
        "hit_rate_blocks": numbers["hit_rate/first_prefill"],
        "after_fix": numbers.get("explain/hit_rate_all_fixed"),
        "seconds": used.wall_s,
        "peak_mb": used.peak_mb,
    }


def settings(path: Path, model: str) -> list[str]:
    """The overrides that name the file and the tokenizer."""
    return [
        "dataset=chat", f"dataset.path={path}", "dataset.rows=request", "tokenizer=huggingface",
        f"tokenizer.model={model}", "dataset.isolation=null",
    ]  # fmt: skip


def saved_model(folder: Path) -> str:
    """DeepSeek's vocabulary with a template that shows text, tools and calls in OpenAI's form."""
    from chat_models import CHATML, save_deepseek

    return save_deepseek(folder, CHATML)


def without_our_path() -> dict[str, str]:
    """The environment without this project's source, which the other Python must not import."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def verdict(tool: str, causes: Sequence[str], found: Mapping[str, Any], untouched: Mapping[str, Any]) -> str:
    """Which of the planted causes the tool names: "yes", "n of m", "place" (that something changed, not what), "no".

    A name that the tool also gives the untouched workload, as often, does not count.
    """
    if "error" in found:
        return "error"
    labels, before = found["labels"], untouched.get("labels", {})
    said = {label for label, number in labels.items() if label not in before or number > before[label]}
    place = said & set(PLACES.get(tool, ())) or (tool == "prefixlens" and said)
    named = sum(bool(said & set(NAMES[cause].get(tool, ()))) for cause in causes)
    if named == len(causes):
        return "yes"
    if named:
        return f"{named} of {len(causes)}"
    return "place" if place else "no"


def print_causes(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print which tool names the planted causes."""
    print("\nWhich tool names the planted cause? (yes, n of m; place: it says that something changed, not what; no)\n")
    print_table(
        ["planted", *TOOLS],
        [
            [name, *(verdict(tool, WORKLOADS[name], one[tool], found["untouched"][tool]) for tool in TOOLS)]
            for name, one in found.items()
            if name != "untouched"
        ],
    )


def print_hit_rates(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the hit rates, before and after each tool's own fixes."""
    print("\nHit rate in % of prompt tokens, as each tool reports it; prefixlens: in % of blocks;")
    print("prefixcash reports the usage fields that it is given, cachelint none\n")
    rows = []
    for name, one in found.items():
        theirs = [percent(one[tool].get("hit_rate")) for tool in ("cachelab", "kvlint", "prefixlens", "prefixguard")]
        rows.append([name, percent(one["vllm"]["hit_rate/vllm_gpu"]), *theirs])
    print_table(["workload", "vLLM", "cachelab", "kvlint", "prefixlens", "prefixguard"], rows)
    print("\nHit rate after the fixes of the tool: cachelab in % of blocks (before and after), kvlint in % of tokens\n")
    print_table(
        ["workload", "cachelab before", "after", "kvlint before", "after"],
        [
            [
                name,
                percent(one["cachelab"].get("hit_rate_blocks")),
                percent(one["cachelab"].get("after_fix")),
                percent(one["kvlint"].get("hit_rate")),
                percent(one["kvlint"].get("after_fix")),
            ]
            for name, one in found.items()
        ],
    )


def print_costs(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print seconds and memory."""
    print("\nSeconds and peak MB of each command, its start included (cachelab: with every fix run again)\n")
    print_table(
        ["workload", *TOOLS],
        [[name, *(cost(one[tool]) for tool in TOOLS)] for name, one in found.items()],
    )


def cost(found: Mapping[str, Any]) -> str:
    """Seconds and peak MB; - if the tool failed."""
    return f"{found['seconds']:.1f} s {found['peak_mb']:.0f}" if "seconds" in found else "-"


def print_labels(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print every name that a tool gives."""
    print("\nEverything that each tool names, with the number of requests (cachelint: of the whole file)\n")
    for name, one in found.items():
        print(f"{name} ({one['requests']} requests, {one['tokens']:,} prompt tokens)")
        for tool in TOOLS:
            labels = one[tool].get("labels", {})
            text = ", ".join(f"{label} {number}" for label, number in labels.items()) or one[tool].get("error", "-")
            print(f"    {tool:<12} {text}")


def percent(value: float | None) -> str:
    """A ratio in percent; - if there is none."""
    return "-" if value is None else f"{100 * value:.2f}"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns of text."""
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    assert set(NAMES) == set(PLANTS)
    main()
