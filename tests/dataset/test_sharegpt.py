"""ShareGPT from a local file, from the hub's cache, and without either."""

import gzip
import json
import socket
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants
from pydantic import ValidationError

from cachelab.conversation import Conversation
from cachelab.dataset.sharegpt import ShareGPT
from cachelab.errors import DatasetError

CHATS = [{"id": "a", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}]


def from_hub(repo_id: str = "owner/chats") -> ShareGPT:
    return ShareGPT(path=None, repo_id=repo_id, filename="chats.json", revision=None)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", ["chats.json", "chats.json.gz"])
def test_load_local_file(tmp_path: Path, name: str) -> None:
    data = json.dumps(CHATS).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    loaded = ShareGPT(path=str(path), repo_id="owner/chats", filename="chats.json", revision=None).load()
    assert (loaded.name, loaded.source) == ("sharegpt", str(path))
    assert tuple(loaded.conversations) == (Conversation.of_texts("a", [("Hi", "Hello")]),)
    assert loaded.counts["dropped_empty"] == 0


def test_load_missing_local_file_names_the_path(tmp_path: Path) -> None:
    missing = str(tmp_path / "chats.json")
    with pytest.raises(DatasetError, match="no such file") as caught:
        ShareGPT(path=missing, repo_id="owner/chats", filename="chats.json", revision=None).load()
    assert str(caught.value).startswith(missing)


def test_load_from_cache_asks_no_network(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The layout of the hub's cache: a branch's commit under refs/, its files under snapshots/.
    repo = hub_cache / "datasets--owner--chats"
    for path, text in {"refs/main": "c" * 40, f"snapshots/{'c' * 40}/chats.json": json.dumps(CHATS)}.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(text)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    loaded = from_hub().load()
    assert loaded.source == "hf://datasets/owner/chats@main/chats.json"
    assert len(loaded.conversations) == 1


def test_load_offline_without_cache_asks_once_and_says_how_to_get_the_file(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def unknown_host(*args: Any, **kwargs: Any) -> None:
        asked.append(args)
        raise socket.gaierror(-2, "Name or service not known")

    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown_host)
    huggingface_hub.close_session()
    with pytest.raises(DatasetError) as caught:
        from_hub().load()
    huggingface_hub.close_session()
    message = str(caught.value)
    assert len(asked) == 1
    assert "\n" not in message
    assert "Name or service not known" in message
    assert "/datasets/owner/chats/resolve/main/chats.json" in message
    assert message.endswith("then set dataset.path=FILE")


def test_load_hub_offline_mode_says_how_to_get_the_file(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    with pytest.raises(DatasetError, match=r"neither cached nor reachable.*dataset.path=FILE$"):
        from_hub().load()
    huggingface_hub.close_session()


def test_load_unknown_error_is_not_silenced(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", broken)
    with pytest.raises(KeyError, match="a bug"):
        from_hub().load()


def test_load_malformed_repo_id_names_the_field(hub_cache: Path) -> None:
    with pytest.raises(DatasetError, match=r"^dataset.repo_id=a b/c: "):
        from_hub("a b/c").load()


def test_empty_path_is_refused() -> None:
    with pytest.raises(ValidationError, match="path"):
        ShareGPT(path="", repo_id="owner/chats", filename="chats.json", revision=None)
