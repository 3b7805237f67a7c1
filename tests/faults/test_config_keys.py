"""Every key of every option with hostile values: refused in one line that names the key, or taken and usable."""

import math
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from cachelab.build import GROUPS, OPTIONAL, build_metrics, build_part, build_root
from cachelab.composition import config_dir
from cachelab.error_format import WRONG_USAGE, exit_code, format_error
from cachelab.errors import CachelabError
from cachelab.metrics.names import check_names
from cachelab.sweep.search_settings import check_search
from faults.ledger import record
from workloads import conversation, one_lane

OPTIONS = [f"{group}={file.stem}" for group in GROUPS for file in sorted((config_dir() / group).glob("*.yaml"))]
EMPTY: dict[str, Any] = {group: None if group in OPTIONAL else {} for group in GROUPS} | {"objective": ["a/b"]}
METRICS = build_metrics({"hit_rate": "cachelab.metrics.hit_rate.METRICS"})
GIVEN = ["dataset.path=x.jsonl", "export.path=x.jsonl.gz", "price.fresh=3", "price.cached=0.3", "price.per_hour=2"]

HOSTILE: list[Any] = [
    None, True, False, -1, 0, 1, 2, 7, 2**31 - 1, 2**31, 2**63, 10**20, -(10**20),
    0.5, -0.5, 1e-300, 1e300, math.nan, math.inf, -math.inf,
    "", " ", "x" * 300, "x" * 10_000, "a\0b", "a\nb", "~nosuchuser/x", "../..", "=cmd|' /C calc'!A0", "\u202e",
    "\ud800", "\U0001f600", "${oops}", "${oc.env:NO_SUCH_VARIABLE}", "???", "1", "evil.X",
    [], {}, [[]], [None], {"a": {}},
    {"_target_": "os.system", "command": "true"}, {"_target_": "cachelab.build.build_part"},
]  # fmt: skip


@pytest.fixture(scope="module")
def tally() -> Iterator[dict[str, int]]:
    counts = {"tried": 0, "held": 0}
    yield counts
    record("hostile values of config keys", counts["tried"], counts["held"])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a" / "b" / "c"  # so that "../.." is a folder of the test
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)


def composed(*overrides: str) -> DictConfig:
    """As the command line composes it."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir())):
        return compose("config", overrides=list(overrides))


def resolved(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


def leaves(node: Any, prefix: str) -> Iterator[str]:
    """The dotted key of every leaf; of an empty mapping a key of its own too."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix
        if isinstance(node, dict):
            yield f"{prefix}.mine"


def parent_keys(keys: list[str]) -> list[str]:
    """The mappings that hold the leaves."""
    return sorted({key.rpartition(".")[0] for key in keys} - {""})


def changed(config: dict[str, Any], key: str, value: Any) -> Any:
    """The config with the key set as a config file or the command line would."""
    if isinstance(value, dict | list) or (isinstance(value, str) and ("${" in value or value == "???")):
        node = OmegaConf.create(config)
        with open_dict(node):
            OmegaConf.update(node, key, value, merge=False, force_add=True)
        return resolved(node)
    plain = deepcopy(config)  # OmegaConf would take most of the test's time to leave the value as it is
    *parents, last = key.split(".")
    reduce(lambda found, name: found[name], parents, plain)[last] = value
    return plain


def attempt(config: dict[str, Any], key: str, value: Any) -> None:
    """Set the key and build what it belongs to."""
    root = build_root(EMPTY | changed(config, key, value))
    group = key.split(".")[0]
    if group == "metrics":
        build_metrics(root.metrics, root.plugins)
    elif group == "objective":
        check_names(group, root.objective, METRICS, {})
    elif group in GROUPS and getattr(root, group) is not None:
        use(group, build_part(group, getattr(root, group), root.plugins))


def use(group: str, part: Any) -> None:
    """What an accepted part does with two conversations must not raise anything but cachelab's own errors."""
    requests = [
        *conversation("a", (range(20), range(5)), (range(7), range(3))),
        *conversation("b", (range(9), range(4))),
    ]
    try:
        if group == "order":
            schedule = part.arrange(requests)
            assert sorted(request.id for request in schedule) == sorted(request.id for request in requests)
        elif group == "filter":
            part.apply(tokenized())
        elif group == "trace":
            part.build(tokenized())
        elif group == "engine" and part.name == "replay":
            if not part.sim_at:  # these would start vLLM
                part.run(one_lane(requests), lambda ended: None)
        elif group == "engine" and part.name == "sim":
            part.cost.step_ns(1, 1)
        elif group == "dataset" and getattr(part, "path", None) is not None:
            part.load()
        elif group == "export":
            part.write(one_lane(requests))
    except CachelabError as error:
        assert_one_line(error)


@cache
def tokenized() -> Any:
    from cachelab.dataset.sample import Sample
    from cachelab.tokenizer.mistral import Mistral

    return [one.tokenized(Mistral()) for one in Sample().load().conversations[:2]]  # type: ignore[union-attr]


def assert_one_line(error: Exception) -> str:
    line = format_error(error)
    assert "\n" not in line
    assert len(line) < 1000, line
    return line


def refused(error: Exception, key: str) -> None:
    """In one line that names the key, with the exit code of a wrong config."""
    assert exit_code(error) == WRONG_USAGE, repr(error)
    line = assert_one_line(error)
    assert key in line, line


def attack(config: dict[str, Any], keys: list[str], tally: dict[str, int]) -> None:
    config = resolved(OmegaConf.create(config))
    lost = []
    for key in keys:
        for value in HOSTILE:
            tally["tried"] += 1
            try:
                attempt(config, key, value)
            except Exception as error:
                try:
                    refused(error, key)
                except AssertionError as why:
                    lost.append(f"{key}={value!r:.60}: {type(error).__name__}: {str(error)[:200]} [{str(why)[:200]}]")
                    continue
            tally["held"] += 1
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize("option", OPTIONS)
def test_hostile_values_of_an_option(option: str, tally: dict[str, int]) -> None:
    group = option.partition("=")[0]
    needed = re.findall(r"^(\w+): \?\?\?", text_of(option), re.MULTILINE)
    config = composed(
        option, *(given for given in GIVEN if given.partition("=")[0] in [f"{group}.{k}" for k in needed])
    )
    if option == "tokenizer=huggingface":
        OmegaConf.update(config, "tokenizer.model", "folder/of/a/model")
    if option == "price=gpu_hours":  # by default that of the engine, which is not there
        OmegaConf.update(config, "price.prefill_token_s", 0.0001)
    plain: Any = OmegaConf.to_container(config)
    keys = list(leaves(plain[group], group))
    attack({group: plain[group], "history": "recorded"}, [*keys, *parent_keys(keys)], tally)


def test_hostile_values_of_what_belongs_to_no_group(tally: dict[str, int]) -> None:
    plain: Any = OmegaConf.to_container(composed())
    settings = {key: value for key, value in plain.items() if key not in GROUPS}
    attack(settings, [*leaves(settings, ""), "sweep", "comparison"], tally)


SEARCH: dict[str, Any] = {
    "direction": "maximize", "storage": None, "study_name": "s", "n_trials": 2, "n_jobs": None,
    "max_failure_rate": 1.0, "seed": 0,
}  # fmt: skip


@pytest.mark.parametrize("key", SEARCH)
def test_hostile_values_of_a_search(key: str, tally: dict[str, int]) -> None:
    check_search(SEARCH)
    for value in HOSTILE:
        tally["tried"] += 1
        try:
            check_search(SEARCH | {key: value})
        except Exception as error:
            refused(error, key)
        tally["held"] += 1


def text_of(option: str) -> str:
    group, _, name = option.partition("=")
    return (config_dir() / group / f"{name}.yaml").read_text(encoding="utf-8")
