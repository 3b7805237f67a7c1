import json
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import cachelab
from cachelab.tracking.description import describe, flatten, source_tags

Nested = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3),
    max_leaves=12,
)


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_flatten_writes_what_is_no_string_as_json() -> None:
    config = {"a": {"b": None, "c": [1, "x"], "d": {}}, "on": True, "text": "null", "empty": ""}

    assert dict(flatten(config)) == {
        "a.b": "null",
        "a.c": '[1, "x"]',
        "a.d": "{}",
        "on": "true",
        "text": "null",
        "empty": "",
    }


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), Nested, max_size=4))
def test_flatten_loses_no_leaf(config: dict[str, Any]) -> None:
    def leaves(value: object) -> int:
        return sum(map(leaves, value.values())) if isinstance(value, dict) and value else 1

    flat = dict(flatten(config))
    assert len(flat) == (leaves(config) if config else 0)


def test_describe_holds_no_password(tmp_path: Path) -> None:
    uri = "http://me:s3cret@host"
    description = describe(
        run_name="r",
        config={"tracking": {"uri": uri}},
        config_yaml=f"tracking:\n  uri: {uri}\n",
        overrides=[f"tracking.uri={uri}"],
        command=f"python -m cachelab tracking.uri={uri}",
        engine="sim",
        engine_version=None,
        output_dir=tmp_path,
    )

    shown = (description.config_yaml, description.parameters, description.tags, description.command)
    assert "s3cret" not in json.dumps(shown)
    assert description.parameters["tracking.uri"] == "http://me:***@host"
    assert description.tags["cachelab.version"] == cachelab.__version__
    assert "cachelab.vllm_version" not in description.tags


def test_source_tags_of_a_repository(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()

    assert source_tags(tmp_path) == {"mlflow.source.git.commit": commit, "cachelab.source_changed": "false"}
    (tmp_path / "__init__.py").write_text("x = 1\n")
    assert source_tags(tmp_path) == {"mlflow.source.git.commit": commit, "cachelab.source_changed": "true"}


def test_source_tags_installed_in_another_repository(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    package = tmp_path / "site-packages" / "cachelab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")

    assert source_tags(package) == {}


def test_source_tags_without_a_repository(tmp_path: Path) -> None:
    assert source_tags(tmp_path) == {}
