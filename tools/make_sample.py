"""Writes the bundled sample, synthetic chats in ShareGPT's schema, from a seed: `python tools/make_sample.py [FILE]`.

Every text is made of the sentences in sample_grammar.yaml. What is like the real file is the shape: the number of turns
(a table), the lengths of messages in characters (quantiles of the real ones, correlated within a conversation), the
third of conversations that start in the middle of a chat, with a reply, and a few of the real messes.
"""

import json
import math
import random
import re
import sys
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import yaml

# With this seed filter=guide keeps 27 conversations and 80 requests (the guide kept 26 and 77), at block size 8 with a
# hit rate of 0.85 with history and 0.02 without (the real file: 0.83 and 0.02).
SEED = 2049
BUNDLED = Path(__file__).resolve().parents[1] / "src/cachelab/dataset/sample.json"
GRAMMAR = Path(__file__).with_name("sample_grammar.yaml")

# Turns -> conversations: 99 conversations, 328 turns, 72 % with two turns or more.
CONVERSATIONS_BY_TURNS = {1: 28, 2: 17, 3: 16, 4: 14, 5: 9, 6: 6, 7: 3, 8: 2, 9: 1, 10: 1, 11: 1, 14: 1}
NUM_STARTING_WITH_GPT = 33

# (probability, characters); between them the logarithm of the length is interpolated.
Quantiles = Sequence[tuple[float, int]]
FIRST: Quantiles = ((0, 5), (0.05, 14), (0.25, 54), (0.5, 105), (0.75, 350), (0.9, 1700), (0.99, 7000), (1, 9000))
LATER: Quantiles = ((0, 2), (0.05, 8), (0.25, 38), (0.5, 69), (0.75, 136), (0.9, 371), (0.99, 2415), (1, 4000))
REPLY: Quantiles = ((0, 6), (0.05, 68), (0.1, 164), (0.25, 561), (0.5, 1180), (0.75, 1822), (0.95, 3128), (1, 5000))
# Share of a length's variance that the messages of one conversation have in common.
COMMON_VARIANCE = {"human": 0.4, "gpt": 0.55}


class Writer:
    """Writes the messages of one conversation, all on one topic."""

    def __init__(self, grammar: dict[str, Any], rng: random.Random) -> None:
        self.rng = rng
        self.grammar = grammar
        self.lexicon = grammar["common"] | grammar["topics"][rng.choice(list(grammar["topics"]))]
        self.bias = {speaker: rng.gauss(0, 1) for speaker in COMMON_VARIANCE}

    def num_chars(self, speaker: str, quantiles: Quantiles) -> int:
        """A length drawn from the quantiles, near those that this conversation's speaker had before."""
        common = COMMON_VARIANCE[speaker]
        z = math.sqrt(common) * self.bias[speaker] + math.sqrt(1 - common) * self.rng.gauss(0, 1)
        u = min(NormalDist().cdf(z), 0.999999)
        upper = bisect_right([probability for probability, _ in quantiles], u)
        (p0, chars0), (p1, chars1) = quantiles[upper - 1], quantiles[upper]
        return round(chars0 * math.pow(chars1 / chars0, (u - p0) / (p1 - p0)))

    def sentence(self, kind: str) -> str:
        """One entry of the grammar, its slots filled."""
        return self.filled(self.rng.choice(self.grammar[kind]))

    def filled(self, text: str) -> str:
        """The text, its slots filled, each with another word."""
        used: set[str] = set()

        def word(match: re.Match[str]) -> str:
            free = [entry for entry in self.lexicon[match[1]] if entry not in used]
            chosen: str = self.rng.choice(free)
            used.add(chosen)
            return chosen

        text = re.sub(r"\{(\w+)\}", word, text)
        text = re.sub(r"\b([Aa]) (?=[aeiouéAEIOU])", r"\1n ", text)
        return re.sub(r"^([-*. ]*)(\w)", lambda match: match[1] + match[2].upper(), text)

    def closest(self, kinds: Sequence[str], num_chars: int) -> str:
        """Of a dozen sentences the one whose length is nearest."""
        drawn = [self.sentence(kind) for kind in kinds for _ in range(12)]
        return min(drawn, key=lambda text: abs(len(text) - num_chars))

    def passage(self, kinds: Sequence[str], num_chars: int, end: str) -> str:
        """Sentences up to about `num_chars`, `end` between them."""
        parts: list[str] = []
        room = num_chars
        while room > 100:
            parts.append(self.sentence(self.rng.choice(kinds)))
            room -= len(parts[-1]) + len(end)
        if room > 35 or not parts:
            parts.append(self.closest(kinds, room))
        return end.join(parts)

    def question(self, first: bool) -> str:
        """A message of the user: a sentence or two if it is short, else one with something pasted below it."""
        num_chars = self.num_chars("human", FIRST if first else LATER)
        kind = "first" if first else "later"
        if num_chars < 200:
            text = self.closest([kind] if num_chars > 15 or first else ["tiny"], min(num_chars, 80))
            if num_chars > 100:
                stop = " " if text.endswith((".", "?")) else ". "
                text += stop + self.closest(["background"], num_chars - len(text))
            # Many people write without capitals.
            return text if self.rng.random() < 0.6 else text[0].lower() + text[1:]
        text = f"{self.sentence(kind)}\n\n{self.rng.choice(self.grammar['lead'])}"
        while len(text) < num_chars - 60:
            room = min(num_chars - len(text), self.rng.randint(250, 700))
            text += "\n\n" + self.passage(["pasted"], room, self.rng.choice([" ", " ", "\n"]))
        return text

    def reply(self) -> str:
        """A message of the assistant: paragraphs, lists, code, as long as the quantiles have it."""
        num_chars = self.num_chars("gpt", REPLY)
        if num_chars < 40:
            return self.closest(["tiny_reply"], num_chars)
        if num_chars < 150:
            return self.closest(["reply_open", "reply"], num_chars)
        blocks = [self.sentence("reply_open")]
        close = self.sentence("reply_close") if num_chars > 400 else ""
        room = num_chars - len(blocks[0]) - len(close)
        while room > 60:
            blocks.append(self.block(min(room, self.rng.randint(200, 600))))
            room -= len(blocks[-1]) + 2
        return "\n\n".join([*blocks, close] if close else blocks)

    def block(self, num_chars: int) -> str:
        """A paragraph, a list or, where the topic has any, code."""
        shape = self.rng.choice(["paragraph", "paragraph", "steps", "bullets", "code"])
        if shape == "code" and "code" in self.lexicon and num_chars > 120:
            lines = [self.code() for _ in range(max(3, num_chars // 34))]
            return "\n".join([self.rng.choice(self.grammar["code_lead"]), "```", *lines, "```"])
        if shape in ("steps", "bullets") and num_chars > 180:
            steps = self.passage(["step"], num_chars - 30, "\n").split("\n")
            marked = [f"{n}. {step}" if shape == "steps" else f"- {step}" for n, step in enumerate(steps, start=1)]
            return "\n".join([self.rng.choice(self.grammar["list_lead"]), *marked])
        return self.passage(["reply"], num_chars, " ")

    def code(self) -> str:
        """A line of code, its slots filled."""
        line = self.rng.choice(self.lexicon["code"])
        return re.sub(r"\{(noun|digit)\}", lambda match: self.rng.choice(self.lexicon[match[1]]), line)


def conversation(grammar: dict[str, Any], rng: random.Random, turns: int, starts_with_gpt: bool) -> dict[str, Any]:
    """One item of the file."""
    writer = Writer(grammar, rng)
    messages = [("gpt", writer.reply())] if starts_with_gpt else []
    for turn in range(turns):
        messages += [("human", writer.question(first=turn == 0)), ("gpt", writer.reply())]
    letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
    chunk = rng.randint(1, 40) if starts_with_gpt else 0
    id = "".join(rng.choice(letters) for _ in range(7)) + f"_{chunk}"
    return {"id": id, "conversations": [{"from": speaker, "value": text} for speaker, text in messages]}


def add_messes(items: list[dict[str, Any]], grammar: dict[str, Any], rng: random.Random) -> None:
    """Put what real files have into a few of the items; none of it changes the number of turns."""
    plain = [item["conversations"] for item in items if len(item["conversations"]) == 6]
    with_system, with_two_humans, with_two_gpts, with_blank = rng.sample(plain, 4)
    writer = Writer(grammar, rng)
    with_system.insert(0, {"from": "system", "value": writer.filled(grammar["system"])})
    with_two_humans.insert(3, {"from": "human", "value": writer.sentence("later")})
    with_two_gpts.insert(4, {"from": "gpt", "value": writer.sentence("reply")})
    # A regenerated reply: the user's message between the two is empty.
    with_blank[2:2] = [{"from": "human", "value": ""}, {"from": "gpt", "value": writer.sentence("reply_close")}]


def sample_items(seed: int) -> list[dict[str, Any]]:
    """The items of the file."""
    rng = random.Random(seed)
    grammar = yaml.safe_load(GRAMMAR.read_text(encoding="utf-8"))
    turns = [turns for turns, count in CONVERSATIONS_BY_TURNS.items() for _ in range(count)]
    rng.shuffle(turns)
    starting_with_gpt = set(rng.sample(range(len(turns)), NUM_STARTING_WITH_GPT))
    items = [conversation(grammar, rng, count, n in starting_with_gpt) for n, count in enumerate(turns)]
    add_messes(items, grammar, rng)
    return items


def main() -> None:
    """Write the file, an item a line."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else BUNDLED
    lines = [json.dumps(item, ensure_ascii=False) for item in sample_items(SEED)]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
