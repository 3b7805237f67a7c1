"""The files that a config names belong to the identity of its job."""

import os
from pathlib import Path
from typing import Any

import pytest

from cachelab.errors import ConfigError
from cachelab.job_digest import job_digest
from cachelab.named_files import file_digests


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model: config, tokenizer, weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"num_hidden_layers": 2}')
    (folder / "tokenizer.json").write_text('{"vocab": {"a": 0}}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def digest_of(config: dict[str, Any]) -> str:
    return job_digest(config, "data", {"vllm": "0.32.0"})


@pytest.mark.parametrize(
    ("key", "file", "changes"),
    [
        ("engine.kv_model.config", "config.json", True),
        ("engine.kv_model.config", "tokenizer.json", False),
        ("engine.model", "config.json", True),
        ("engine.model", "tokenizer.json", True),
        ("engine.model", "model.safetensors", True),
        ("engine.real.model", "model.safetensors", True),
        ("tokenizer.model", "tokenizer.json", True),
        ("tokenizer.model", "model.safetensors", False),
    ],
)
def test_job_digest_follows_the_files_that_are_read(model: Path, key: str, file: str, changes: bool) -> None:
    config: dict[str, Any] = {}
    node = config
    *groups, last = key.split(".")
    for group in groups:
        node = node.setdefault(group, {})
    node[last] = str(model)
    before = digest_of(config)
    assert digest_of(config) == before
    (model / file).write_text("another text")
    assert (digest_of(config) != before) is changes


def test_job_digest_follows_a_chat_template_and_a_config_file(tmp_path: Path) -> None:
    template, kv = tmp_path / "chat.jinja", tmp_path / "config.json"
    config = {"tokenizer": {"chat_template": str(template)}, "engine": {"kv_model": {"config": str(kv)}}}
    template.write_text("{{ messages }}")
    kv.write_text("{}")
    assert set(file_digests(config)) == {"tokenizer.chat_template", "engine.kv_model.config"}
    before = digest_of(config)
    template.write_text("{{ messages[0] }}")
    assert digest_of(config) != before


def test_job_digest_follows_the_files_of_engine_arguments(tmp_path: Path) -> None:
    file = tmp_path / "hf_config.json"
    file.write_text("{}")
    config = {"engine": {"args": {"hf_config_path": str(file), "scheduling_policy": "priority"}}}
    before = digest_of(config)
    file.write_text("[]")
    assert digest_of(config) != before


def test_large_file_is_known_by_size_and_time(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachelab.named_files._MAX_READ_BYTES", 3)
    weights = model / "model.safetensors"
    config = {"engine": {"model": str(model)}}
    before = digest_of(config)
    status = weights.stat()
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert digest_of(config) != before


def test_names_that_are_no_paths_leave_the_digest_as_it_was(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "auto").write_text("")
    assert file_digests({"engine": {"model": "tiny", "dtype": "auto"}, "tokenizer": {"model": "owner/name"}}) == {}


def test_hidden_files_do_not_count(model: Path) -> None:
    config = {"engine": {"model": str(model)}}
    before = digest_of(config)
    (model / ".cache").mkdir()
    (model / ".cache" / "downloaded").write_text("today")
    assert digest_of(config) == before


def test_unreadable_file_names_its_key(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    name = "x" * 300
    with pytest.raises(ConfigError, match=r"tokenizer\.chat_template=.*cannot be read \(File name too long"):
        file_digests({"tokenizer": {"chat_template": str(tmp_path / name)}})
    assert file_digests({"tokenizer": {"chat_template": str(loop)}}) == {}
