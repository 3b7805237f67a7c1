"""The settings of a run are those that it used."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from cachelab import used_settings as used
from cachelab.composition import composed, config_dir
from cachelab.request import Request
from cachelab.tokens import BlockTokens
from cachelab.used_settings import runs_vllm, used_settings
from workloads import request


def config(*overrides: str) -> dict[str, Any]:
    return composed(list(overrides)).config


def of_blocks(block_size: int) -> Request:
    blocks = np.asarray([0, 1], np.int32)
    prompt = BlockTokens(blocks, block_size, 2 * block_size, listed=blocks)
    return replace(request("a", 0, range(9), [1]), prompt_ids=prompt)


TEXT: Sequence[Request] = [request("a", 0, range(9), [1])]
TRACE = ("dataset=block_trace", "dataset.path=x.jsonl")


def test_block_trace_is_counted_in_its_own_blocks_without_a_tokenizer() -> None:
    found = used_settings(config(*TRACE, "engine=replay"), [of_blocks(512)])
    assert "tokenizer" not in found
    assert found["engine"]["block_size"] == 512
    assert found["engine"]["rules"] == "trace"
    assert "max_model_len" not in found["engine"]  # no prompt is too long


def test_block_trace_by_the_rules_of_vllm_has_the_engines_blocks() -> None:
    found = used_settings(config(*TRACE, "engine=replay", "engine.rules=vllm"), [of_blocks(512)])
    assert (found["engine"]["block_size"], found["engine"]["rules"]) == (16, "vllm")
    assert found["engine"]["max_model_len"] is None
    assert used_settings(config(*TRACE, "engine=sim"), [of_blocks(512)])["engine"]["block_size"] == 16


def test_rows_that_bring_their_block_size_give_the_datasets() -> None:
    found = used_settings(config(*TRACE, "engine=replay"), [of_blocks(64)])
    assert found["dataset"]["block_size"] == 64  # dataset.block_size is 512


def test_text_is_counted_in_the_engines_blocks() -> None:
    found = used_settings(config("engine=replay"), TEXT)
    assert found["tokenizer"] == {"_target_": "cachelab.tokenizer.mistral.Mistral", "image_tokens": None}
    assert (found["engine"]["block_size"], found["engine"]["rules"]) == (16, "vllm")


def test_nothing_is_said_of_the_workload_before_it_is_known() -> None:
    found = used_settings(config(*TRACE, "engine=replay"))
    assert "tokenizer" not in found
    assert {"block_size", "rules", "max_model_len"}.isdisjoint(found["engine"])
    assert "block_size" not in found["dataset"]
    assert found["engine"]["num_blocks"] == 10_000


@pytest.mark.parametrize(
    ("overrides", "group", "ignored"),
    [
        (("dataset=sharegpt", "dataset.path=x"), "dataset", {"repo_id", "filename", "revision"}),
        (("engine=cpu",), "engine", {"gpu_memory_utilization", "offload_prompt_only"}),
        (("engine=sim",), "engine", {"offload_prompt_only"}),
        (("order=timed",), "order", {"rate", "seed"}),
        (("order=timed", "order.start=uniform"), "order", {"seed"}),
        (("order=timed", "order.start=poisson"), "order", set()),
    ],
)
def test_settings_that_another_one_voids_are_left_out(overrides: Sequence[str], group: str, ignored: set[str]) -> None:
    composed = config(*overrides)
    assert set(composed[group]) - set(used_settings(composed, TEXT)[group]) == ignored


def test_settings_that_are_used_stay() -> None:
    assert "repo_id" in used_settings(config("dataset=sharegpt"), TEXT)["dataset"]
    assert used_settings(config("engine.host_cache_gib=1"), TEXT)["engine"]["offload_prompt_only"] is True
    sizes = used_settings(config("engine.kv_model.config=x"), TEXT)["engine"]["kv_model"]
    assert sizes == {"_target_": "cachelab.model.kv_model.KvModel", "config": "x"}
    assert used_settings(config("engine=agreement"), TEXT)["engine"]["real"]["block_size"] == 32


def test_rules_name_arguments_that_exist() -> None:
    options = [OmegaConf.load(path) for path in Path(config_dir()).glob("*/*.yaml") if path.parent.name != "hydra"]
    arguments: dict[str, set[str]] = {}

    def collect(group: Any) -> None:
        if OmegaConf.is_dict(group):
            arguments.setdefault(str(group.get("_target_", "")).rsplit(".", 1)[-1], set()).update(map(str, group))
            for key in group:
                if not OmegaConf.is_missing(group, key) and not OmegaConf.is_interpolation(group, key):
                    collect(group[key])

    for option in options:
        collect(option)
    for names, _, keys in used._VOID:
        for name in names:
            assert set(keys) <= arguments[name], name
    for name, known in used._BY_WORKLOAD.items():
        assert set(known) <= arguments[name], name


def test_replay_runs_vllm_for_its_points_of_comparison_only() -> None:
    assert runs_vllm(config("engine=sim")["engine"])
    assert not runs_vllm(config("engine=replay")["engine"])
    assert runs_vllm(config("engine=replay", "engine.sim_at=[600]")["engine"])


def test_a_server_has_its_own_vllm() -> None:
    """Its version is a note of the run, not the tag with this machine's version."""
    assert not runs_vllm(config("engine=server")["engine"])
    assert runs_vllm(config("engine=agreement", "engine@engine.real=server")["engine"])
