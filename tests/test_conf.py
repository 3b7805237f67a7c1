"""Every option file composes, and builds what it names."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from cachelab.build import build_metrics, build_part, build_root
from cachelab.cli import config_dir
from cachelab.overview import description

GROUPS = ("dataset", "tokenizer", "filter", "trace", "order", "engine", "tracking")
MUST_BE_GIVEN = {
    "dataset=trace": ["dataset.path=x.jsonl"],
    "dataset=block_trace": ["dataset.path=x.jsonl"],
    "export=block_trace": ["export.path=x.jsonl.gz"],
    "experiment=reproduce": ["dataset.path=x.jsonl"],
    "tokenizer=huggingface": ["tokenizer.model=x"],
}
OPTION_FILES = sorted(
    path.relative_to(config_dir()) for path in config_dir().glob("*/*.yaml") if path.parent.name != "hydra"
)


def composed(*overrides: str) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base=None):
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
    assert len(build_metrics(root.metrics)) > 30


@pytest.mark.parametrize("file", OPTION_FILES, ids=str)
def test_option_says_what_it_is_on_its_first_comment_line(file: Path) -> None:
    text = description(config_dir() / file)
    assert 15 < len(text) < 120


def test_option_files_are_those_of_the_groups() -> None:
    folders = {str(file.parent) for file in OPTION_FILES}
    assert folders == {*GROUPS, "metrics", "experiment", "export"}


def test_experiment_arms_differ_in_trace_and_order_only() -> None:
    multi, single = plain(composed("experiment=multi_turn")), plain(composed("experiment=single_turn"))
    assert {key for key in multi if multi[key] != single[key]} == {"trace", "order"}


def test_experiment_keeps_what_the_command_line_says() -> None:
    config = plain(composed("experiment=multi_turn", "engine.num_blocks=999", "order=sessions", "order.num_users=2"))
    assert config["engine"]["num_blocks"] == 999
    assert config["order"] == {"_target_": "cachelab.order.sessions.Sessions", "num_users": 2}
