"""Every option file composes, and builds what it names."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from cachelab.build import build_metrics, build_part, build_parts, build_root
from cachelab.composition import config_dir
from cachelab.errors import ConfigError
from cachelab.explanation import Explainer
from cachelab.overview import description

GROUPS = ("dataset", "tokenizer", "filter", "trace", "order", "fleet", "engine", "tracking")
MUST_BE_GIVEN = {
    "dataset=trace": ["dataset.path=x.jsonl"],
    "dataset=block_trace": ["dataset.path=x.jsonl"],
    "dataset=chat": ["dataset.path=x.jsonl"],
    "dataset=claude_code": ["dataset.path=x.json"],
    "dataset=text_log": ["dataset.path=x.jsonl"],
    "export=block_trace": ["export.path=x.jsonl.gz"],
    "price=per_token": ["price.fresh=3", "price.cached=0.3"],
    "price=gpu_hours": ["price.per_hour=2"],
    "experiment=reproduce": ["dataset.path=x.jsonl"],
    "tokenizer=huggingface": ["tokenizer.model=x"],
}
OPTION_FILES = sorted(
    path.relative_to(config_dir()) for path in config_dir().glob("*/*.yaml") if path.parent.name != "hydra"
)


def composed(*overrides: str) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir())):
        return compose("config", overrides=list(overrides))


def plain(config: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


@pytest.mark.parametrize("file", OPTION_FILES, ids=str)
def test_option_composes_and_builds(file: Path) -> None:
    option = f"{file.parent}={file.stem}"
    root = build_root(plain(composed(option, *MUST_BE_GIVEN.get(option, []))))
    for group in GROUPS:
        if option == "tokenizer=huggingface" and group == "tokenizer":
            continue  # needs a model on disk: see tests/tokenizer
        part = build_part(group, getattr(root, group), root.plugins)
        assert type(part).__module__.startswith(f"cachelab.{group}.")
    if root.export is not None:
        assert type(build_part("export", root.export, root.plugins)).__module__.startswith("cachelab.export.")
    if root.price is not None:
        assert type(build_part("price", root.price, root.plugins)).__module__.startswith("cachelab.price.")
    if root.explain is not None:
        assert isinstance(build_part("explain", root.explain, root.plugins), Explainer)
    assert len(build_metrics(root.metrics)) > 30


@pytest.mark.parametrize("file", OPTION_FILES, ids=str)
def test_option_says_what_it_is_on_its_first_comment_line(file: Path) -> None:
    text = description(config_dir() / file)
    assert 15 < len(text) < 120


def test_option_files_are_those_of_the_groups() -> None:
    folders = {str(file.parent) for file in OPTION_FILES}
    assert folders == {*GROUPS, "metrics", "experiment", "export", "price", "explain", "model"}


def test_a_model_sets_the_layers_of_the_engine_of_any_experiment() -> None:
    config = plain(composed("experiment=multi_turn", "model=deepseek-v3"))
    assert config["engine"]["layers"] == [{"kind": "mla", "layers": 61, "head_size": 576}]
    assert "model" not in config
    for engine in ("replay", "cpu", "agreement"):
        root = build_root(plain(composed(f"engine={engine}", "model=llama-3-8b")))
        with pytest.raises(ConfigError, match=r"engine\.layers: only engine=sim can be given layers, also with model="):
            build_parts(root)


def test_experiment_arms_differ_in_trace_and_order_only() -> None:
    multi, single = plain(composed("experiment=multi_turn")), plain(composed("experiment=single_turn"))
    assert {key for key in multi if multi[key] != single[key]} == {"trace", "order"}


def test_experiment_keeps_what_the_command_line_says() -> None:
    config = plain(composed("experiment=multi_turn", "engine.num_blocks=999", "order=sessions", "order.num_users=2"))
    assert config["engine"]["num_blocks"] == 999
    assert config["order"] == {"_target_": "cachelab.order.sessions.Sessions", "num_users": 2, "think_s": 0.0}


@pytest.mark.parametrize("experiment", ["simple", "multi_turn", "single_turn", "unfiltered", "futurecloud"])
@pytest.mark.parametrize("engine", ["sim", "cpu", "cuda"])
def test_experiment_builds_on_every_engine(experiment: str, engine: str) -> None:
    root = build_root(plain(composed(f"experiment={experiment}", f"engine={engine}")))
    assert build_part("engine", root.engine, root.plugins).name == engine


@pytest.mark.parametrize(("engine", "block_size", "num_blocks"), [("sim", 8, 257), ("cpu", 32, 65), ("cuda", 16, 129)])
def test_experiment_of_the_guide_has_its_tokens_of_cache_on_every_engine(
    engine: str, block_size: int, num_blocks: int
) -> None:
    config = plain(composed("experiment=multi_turn", f"engine={engine}"))["engine"]
    assert (config["block_size"], config["num_blocks"]) == (block_size, num_blocks)
    assert block_size * (num_blocks - 1) == 2048


def test_history_reaches_every_engine() -> None:
    for engine in ("sim", "cpu", "cuda"):
        assert plain(composed(f"engine={engine}", "history=generated"))["engine"]["history"] == "generated"
    assert plain(composed("engine=agreement", "history=forced"))["engine"]["real"]["history"] == "forced"


def test_history_that_an_engine_does_not_know_is_refused() -> None:
    config = plain(composed("history=generated"))
    config["engine"] = {"_target_": "workloads.RecordedOnlyEngine"}
    with pytest.raises(ConfigError, match=r"history: engine=recorded only supports history=recorded only"):
        build_parts(build_root(config | {"plugins": ["workloads"]}))


def test_tokenizer_follows_the_engines_model() -> None:
    of_cpu = composed("engine=cpu", "engine.model=some/model", "tokenizer=huggingface")
    of_agreement = composed("engine=agreement", "engine.real.model=some/model", "tokenizer=huggingface")
    assert plain(of_cpu)["tokenizer"]["model"] == plain(of_agreement)["tokenizer"]["model"] == "some/model"
    with pytest.raises(ConfigError, match=r"tokenizer\.model: give a model's folder or its id"):
        build_part("tokenizer", plain(composed("tokenizer=huggingface"))["tokenizer"], [])


def test_agreement_takes_another_real_engine_by_override() -> None:
    config = plain(composed("experiment=agreement", "engine@engine.real=cuda"))
    assert config["engine"]["real"]["_target_"] == "cachelab.engine.vllm.backends.CudaEngine"
    assert config["engine"]["real"]["max_num_seqs"] == 1
