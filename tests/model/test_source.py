"""Where an engine's model comes from."""

import json
import threading
from pathlib import Path

import pytest

from cachelab.errors import EngineError
from cachelab.model import tiny_model as tiny
from cachelab.model.source import find_model


def folder_with(tmp_path: Path, *files: str) -> str:
    for name in files:
        (tmp_path / name).write_text("{}")
    return str(tmp_path)


def test_find_model_takes_a_whole_folder(tmp_path: Path) -> None:
    model = folder_with(tmp_path, "config.json", "model-00001-of-00002.safetensors")
    assert find_model(model, None, 10) == model


def test_find_model_without_config_json_is_one_line(tmp_path: Path) -> None:
    model = folder_with(tmp_path, "model.safetensors")
    with pytest.raises(EngineError, match=r"no config\.json in it: give the folder of a downloaded model$"):
        find_model(model, None, 10)


def test_find_model_without_weights_is_one_line(tmp_path: Path) -> None:
    model = folder_with(tmp_path, "config.json", "tokenizer.json")
    with pytest.raises(EngineError, match=r"no weights in it \(\*\.safetensors, .*\): download the complete"):
        find_model(model, None, 10)


@pytest.mark.parametrize("model", ["./nowhere", "~/nowhere", "/no/such/folder", "a/b/c"])
def test_find_model_that_can_only_be_a_folder_is_not_asked_of_the_hub(model: str) -> None:
    with pytest.raises(EngineError, match=r"no such folder: give a model's folder, its id on the hub, or tiny$"):
        find_model(model, None, 10)


def test_find_model_that_is_no_name_at_all_is_one_line() -> None:
    with pytest.raises(EngineError, match="not an id on the hub"):
        find_model("what is this?", None, 10)


def test_find_model_offline_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no\nroute")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(EngineError, match=r"\(no route\): .* `hf download nobody/nothing` .* engine\.model=tiny$"):
        find_model("nobody/nothing", None, 10)


@pytest.mark.parametrize(("largest", "vocabulary"), [(0, 131_072), (131_071, 131_072), (131_072, 262_144)])
def test_tiny_model_has_the_vocabulary_of_the_tokenizer(largest: int, vocabulary: int) -> None:
    assert tiny.vocabulary_for(largest) == vocabulary


def test_tiny_model_is_built_once_however_many_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []
    build = tiny._build

    def counted(folder: Path, vocabulary: int, name: tiny.TinyName) -> None:
        built.append(folder)
        build(folder, vocabulary, name)

    monkeypatch.setattr(tiny, "_build", counted)
    import transformers  # noqa: F401  two threads must not be the first to import it

    threads = [threading.Thread(target=tiny.tiny_model, args=(tmp_path, 64)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folder = tiny.tiny_model(tmp_path, 64)
    assert len(built) <= 2
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == 64
    built.clear()
    assert tiny.tiny_model(tmp_path, 64) == folder
    assert not built


def test_tiny_model_has_equal_weights_wherever_it_is_built(tmp_path: Path) -> None:
    folders = [tiny.tiny_model(tmp_path / name, 64) for name in ("a", "b")]
    assert len({(folder / "model.safetensors").read_bytes() for folder in folders}) == 1


def test_tiny_model_that_cannot_be_built_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, vocabulary: int, name: tiny.TinyName) -> None:
        (folder / "half").write_text("")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tiny, "_build", full)
    with pytest.raises(EngineError, match=r"engine\.model_cache_dir: .*\(No space left on device\): set"):
        find_model("tiny", str(tmp_path), 10)
    assert list(tmp_path.iterdir()) == []
