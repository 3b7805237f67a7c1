"""The digest of a job: jobs with the same digest give the same numbers."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import cachelab
from cachelab.named_files import file_digests

GROUPS = ("dataset", "tokenizer", "filter", "trace", "order", "engine", "metrics", "plugins")
"""The keys of the resolved config that decide a run's numbers; tracking, folders and objectives do not."""

_IF_GIVEN = ("price", "explain")
"""Keys that decide numbers only if they are given, as `fleet` does with replicas. Else the digest is the old one."""


def job_digest(config: Mapping[str, Any], dataset_digest: str, versions: Mapping[str, str | None]) -> str:
    """SHA-256 (hex) of the GROUPS of the resolved config, of the files that they name, of the data and the versions.

    `versions` are those of cachelab and vLLM. Raises ConfigError if a file that the config names cannot be read.
    """
    job = {"config": decisive(config), "dataset": dataset_digest, "versions": dict(versions)}
    files = file_digests(config)
    return digest(job | {"files": files} if files else job)


def data_digest(config: Mapping[str, Any], dataset_digest: str) -> str:
    """SHA-256 (hex) of what a run reads: the data, and the files that the config names.

    Raises ConfigError if such a file cannot be read.
    """
    return digest({"dataset": dataset_digest, "files": file_digests(config)})


def versions(vllm: str | None) -> dict[str, str | None]:
    """The versions that decide a run's numbers."""
    return {"cachelab": cachelab.__version__, "vllm": vllm}


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the config that decides a run's numbers."""
    given = {key: config[key] for key in _IF_GIVEN if config.get(key)}
    if (fleet := config.get("fleet")) and not str(fleet["_target_"]).endswith(".Single"):
        given["fleet"] = fleet
    return {key: config.get(key) for key in GROUPS} | given


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the content as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
