"""Every command and setting that the documents print works as printed: a shell splits it, Hydra composes it."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from cachelab.arguments import hydra_arguments
from cachelab.build import build_metrics, build_root
from cachelab.composition import config_dir
from cachelab.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM = re.compile(r"(?:python -m )?cachelab\b")
SETTING = re.compile(r"'?\+{0,2}[a-z_]+(?:[./@][a-z_A-Z]+)*=\S.*")
PATTERN = re.compile(r"[<|…]|\.\.\.\S|=\.\.\.|\$\{")  # a form to be filled in, not a command
FLAGS = {"--multirun": 0, "--help": 0, "--cfg": 1, "--info": 1, "--config-dir": 1, "--shell-completion": 1}
BASES: tuple[list[str], ...] = (
    [],
    ["experiment=tune_filter"],
    ["engine=replay"],
    ["engine=cpu"],
    ["engine=cuda"],
    ["engine=agreement"],
    ["engine=server"],
    ["order=sessions"],
    ["order=timed"],
    ["fleet=replicas"],
    ["fleet=replicas", "fleet/router=prefix_aware"],
    ["experiment=calibrate"],
    ["dataset=block_trace"],
    ["dataset=chat", "dataset.path=x"],
    ["dataset=claude_code", "dataset.path=x"],
    ["dataset=text_log", "dataset.path=x"],
    ["dataset=sharegpt"],
    ["tokenizer=huggingface"],
    ["export=block_trace", "export.path=x"],
    ["price=per_token", "price.fresh=3", "price.cached=0.3"],
    ["price=gpu_hours", "price.per_hour=2"],
    ["experiment=explain"],
)


def spans(text: str) -> Iterator[str]:
    """Lines of code and inline code, each as one line."""
    text = re.sub(r"\\\n\s+", " ", text)
    yield from (line.strip() for line in text.splitlines() if line.startswith("    "))
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    yield from (" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose))


def found(wanted: re.Pattern[str]) -> list[tuple[str, str]]:
    """(the first document that prints it, text), each text once."""
    documents: dict[str, str] = {}
    for path in DOCUMENTS:
        for span in spans(path.read_text(encoding="utf-8")):
            if wanted.match(span) and not PATTERN.search(span):
                documents.setdefault(span, path.name)
    return [(document, span) for span, document in documents.items()]


COMMANDS = [pair for pair in found(PROGRAM) if "=" in pair[1]]
SETTINGS = found(SETTING)


def split(command: str) -> list[str]:
    """The arguments that a shell makes of a command without its program."""
    done = subprocess.run(
        ["bash", "-fc", f"printf '%s\\0' {command}"], capture_output=True, text=True, timeout=20, check=True
    )
    return [word for word in done.stdout.split("\0") if word and word != "..."]


def overrides_of(words: Sequence[str]) -> list[str]:
    left, overrides = iter(hydra_arguments(words)), []
    for word in left:
        if word.startswith("--"):
            for _ in range(FLAGS[word]):
                next(left)
        else:
            overrides.append(word)
    return overrides


def jobs_of(overrides: Sequence[str]) -> Iterator[list[str]]:
    """The overrides of some jobs: each value of each choice at least once, and the ends of each range."""
    values = []
    for text, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
        if not override.is_sweep_override():
            values.append([text])
        elif override.is_choice_sweep() or override.is_range_sweep():
            swept = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
            values.append(swept if override.is_choice_sweep() else [swept[0], swept[-1]])
        else:
            values.append([])  # an interval is a sampler's to draw from
    fixed = [column[0] if len(column) == 1 else None for column in values]
    for row in zip_longest(*(column for column in values if column)):
        shown = [column[0] if value is None else value for value, column in zip(row, filter(None, values), strict=True)]
        assert len(shown) <= len(fixed)
        yield shown


def composed(overrides: Sequence[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir())):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


@cache
def keys_of(base: tuple[str, ...]) -> frozenset[str]:
    """The dotted keys of a base's config, of its groups of settings too."""

    def keys(node: Any, prefix: str) -> Iterator[str]:
        for key, value in node.items():
            yield f"{prefix}{key}"
            if isinstance(value, dict):
                yield from keys(value, f"{prefix}{key}.")

    return frozenset(keys(OmegaConf.to_container(composed(base)), ""))


def lacks(base: Sequence[str], job: Sequence[str]) -> bool:
    """Whether Hydra would refuse the job because the base has no such setting; it composes the whole config first."""
    overrides = OverridesParser.create().parse_overrides(list(job))
    keys = [override.key_or_group for override in overrides]
    if any("/" in key or (config_dir() / key).is_dir() for key in keys):
        return False  # another option, which may have the setting
    changed = [key for key, override in zip(keys, overrides, strict=True) if override.type == OverrideType.CHANGE]
    return not keys_of(tuple(base)).issuperset(changed)


def check(overrides: Sequence[str]) -> None:
    config = composed(overrides)
    plain: Any = OmegaConf.to_container(
        OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]), resolve=True
    )
    root = build_root(plain)
    build_metrics(root.metrics, root.plugins)


@pytest.fixture(autouse=True)
def _plugin_of_the_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module my_package.py that docs/metrics.md prints."""
    (printed,) = re.findall(r"```python\n(# my_package\.py\n.*?)```", (ROOT / "docs/metrics.md").read_text(), re.DOTALL)
    (tmp_path / "my_package.py").write_text(printed)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_package", raising=False)


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_command_composes_as_printed(document: str, command: str) -> None:
    overrides = overrides_of(split(PROGRAM.sub("", command, count=1)))
    launchers = {"hydra/launcher=joblib": "joblib_launcher", "hydra/launcher=ray": "ray_launcher"}
    for option, plugin in launchers.items():
        if option in overrides and find_spec(f"hydra_plugins.hydra_{plugin}") is None:
            pytest.skip(f"{plugin} is not installed")
    for job in jobs_of(overrides):
        check(job)


@pytest.mark.parametrize(("document", "setting"), SETTINGS)
def test_setting_composes_as_printed(document: str, setting: str) -> None:
    overrides = overrides_of(split(setting))
    errors = []
    for base in BASES:
        if any(lacks(base, job) for job in jobs_of(overrides)):
            errors.append(f"{base}: there is no such setting")
            continue
        try:
            for job in jobs_of(overrides):
                check([*base, *job])
        except Exception as error:  # another option may have that setting
            errors.append(f"{base}: {str(error).splitlines()[0]}")
        else:
            return
    pytest.fail("\n".join(errors))


def test_documents_were_read() -> None:
    assert len(COMMANDS) > 30
    assert any("objective_constraints" in setting for _, setting in SETTINGS)
    assert {name for name, _ in COMMANDS} >= {"README.md", "sweeps.md", "engines.md", "replay.md"}


def test_metrics_of_another_package_are_built() -> None:
    check(["+metrics.mine=my_package.METRICS", "plugins=[my_package]"])
    with pytest.raises(ConfigError, match=r"metrics\.mine: .*my_package\.NOTHING"):
        check(["+metrics.mine=my_package.NOTHING", "plugins=[my_package]"])


def test_setting_without_the_shells_quotes_is_found() -> None:
    """What docs/sweeps.md printed: a shell takes the inner quotes and splits it, and Hydra refuses both words."""
    printed = 'objective_constraints={requests/completed: ">= 50"}'
    assert len(split(printed)) == 2
    with pytest.raises(OverrideParseException):
        check(overrides_of(split(printed)))
    for base in ([], ["experiment=tune_filter"]):
        check([*base, *overrides_of(split(f"'{printed}'"))])
