"""A dataset, an order, an engine and a metric that come from outside the package, as docs/architecture.md says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = """
import dataclasses

from pydantic.dataclasses import dataclass

from cachelab.conversation import Conversation
from cachelab.dataset.base import LoadedDataset
from cachelab.engine.base import EngineCounters, EngineRun
from cachelab.metrics.base import Metric
from cachelab.request import RequestRecord, Schedule


@dataclass(frozen=True)
class Greetings:
    chats: int

    def load(self):
        texts = [("Good morning to you!", "And to you."), ("How do you do?", "Fine, thanks.")]
        chats = [Conversation.of_texts(f"chat {index}", texts) for index in range(self.chats)]
        return LoadedDataset("greetings", "nowhere", "0" * 64, chats, {"greeted": self.chats})


@dataclass(frozen=True)
class Backwards:
    def arrange(self, requests):
        chats = {}
        for request in requests:
            chats.setdefault(request.conversation_id, []).append(request)
        return Schedule(((tuple(request for name in reversed(chats) for request in chats[name]),),))


@dataclass(frozen=True)
class NoCache:
    name = "no_cache"
    version = None
    block_size: int = 4

    def run(self, schedule, progress):
        records = [
            RequestRecord(
                request.id, request.conversation_id, request.turn_index, "completed", len(request.prompt_ids),
                reply_tokens=len(request.reply_ids), prefill_index=index, submitted_ns=index,
                first_scheduled_ns=index, first_token_ns=index, finished_ns=index,
            )
            for index, request in enumerate(schedule)
        ]
        progress(len(records))
        tokens = sum(record.prompt_tokens for record in records)
        return EngineRun(records, EngineCounters("simulated", self.block_size, 1, len(records), 0.0, tokens, 0, 0, 0))


def first_prompt_tokens(observation):
    return float(observation.completed[0].prompt_tokens)


METRICS = (Metric("mine/first_prompt_tokens", "tokens", "prompt of the first request", first_prompt_tokens),)
"""

OPTIONS = {
    "dataset": "# Chats that only greet\n_target_: my_parts.Greetings\nchats: 3\n",
    "order": "# The last conversation first\n_target_: my_parts.Backwards\n",
    "engine": "# Caches nothing\n_target_: my_parts.NoCache\nblock_size: 4\n",
}


@pytest.mark.slow
def test_parts_from_outside_the_package_run(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "my_parts.py").write_text(PARTS)
    for group, text in OPTIONS.items():
        folder = tmp_path / "my_conf" / group
        folder.mkdir(parents=True)
        (folder / "mine.yaml").write_text(text)
    done = subprocess.run(
        [
            sys.executable, "-m", "cachelab", "--config-dir", "my_conf", "dataset=mine", "order=mine", "engine=mine",
            "+metrics.mine=my_parts.METRICS", "plugins=[my_parts]", "objective=[mine/first_prompt_tokens]",
            "tracking=none", f"cache_dir={tmp_path}/cache", "hydra.run.dir=out",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{repository / 'src'}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "out/artifacts/metrics.json").read_text())["values"]
    assert values["dataset/greeted"] == 3
    assert values["requests/completed"] == 6
    assert values["hit_rate/first_prefill"] == 0
    assert values["mine/first_prompt_tokens"] > 3
    first = (tmp_path / "out/artifacts/per_turn.csv").read_text().splitlines()[1]
    assert first.startswith("0,3,")


def test_parts_from_outside_need_to_be_named_as_plugins(tmp_path: Path, repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cachelab", "order._target_=my_parts.Backwards", "tracking=none"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "plugins=[my_parts]" in done.stderr
