"""The settings that a run used: the composed config without the settings that no part reads. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cachelab.prefix_cache.request_blocks import is_block_trace, trace_block_size
from cachelab.request import Request

Group = Mapping[str, Any]

_VOID: Sequence[tuple[tuple[str, ...], Callable[[Group], bool], tuple[str, ...]]] = (
    (("ShareGPT",), lambda group: group.get("path") is not None, ("repo_id", "filename", "revision")),
    (("Chat",), lambda group: group.get("path") is not None, ("hub", "subset", "split", "revision")),
    (
        ("KvModel",),
        lambda group: group.get("config") is not None,
        ("num_layers", "num_kv_heads", "head_size", "dtype"),
    ),
    (
        ("CpuEngine",),
        lambda group: group.get("kv_cache_memory_bytes") is not None,
        ("gpu_memory_utilization",),
    ),
    (("Timed",), lambda group: group.get("start", "trace") == "trace", ("rate", "seed")),
    (("Timed",), lambda group: group.get("start") == "uniform", ("seed",)),
    (("SimEngine", "CpuEngine", "CudaEngine"), lambda group: not group.get("host_cache_gib"), ("offload_prompt_only",)),
)
"""Class names, the condition under which these classes ignore arguments, and the names of the arguments."""

_BY_WORKLOAD = {"BlockTrace": ("block_size",), "ReplayEngine": ("block_size", "max_model_len", "rules")}
"""Class name -> arguments whose value depends on the requests."""


def used_settings(config: Group, requests: Sequence[Request] | None = None) -> dict[str, Any]:
    """The settings that the run uses, by group.

    With `requests` None (the dataset has not been read), settings that depend on them are left out: the tokenizer,
    which a block trace does not need, and the sizes and rules by which the blocks of such a trace are counted.
    """
    used = {key: _used(value) if isinstance(value, Mapping) else value for key, value in config.items()}
    if requests is None:
        used.pop("tokenizer", None)
        return used
    listed = trace_block_size(requests)
    if is_block_trace(requests):
        used.pop("tokenizer", None)
    for key, known in (("dataset", _of_dataset), ("engine", _of_engine)):
        group = config.get(key)
        if isinstance(group, Mapping):
            used[key] = _in_order(group, {**used[key], **known(group, listed)})
    return used


def runs_vllm(engine: Group) -> bool:
    """Whether an engine runs vLLM in this process: a live server does not, replay only for the points in `sim_at`."""
    return _class(engine) not in ("ReplayEngine", "ServerEngine") or bool(engine.get("sim_at"))


def _of_dataset(group: Group, listed: int | None) -> dict[str, Any]:
    if _class(group) != "BlockTrace":
        return {}
    return {"block_size": group.get("block_size") if listed is None else listed}


def _of_engine(group: Group, listed: int | None) -> dict[str, Any]:
    if _class(group) != "ReplayEngine":
        return {}
    rules = group.get("rules", "auto")
    if rules == "auto":
        rules = "vllm" if listed is None else "trace"
    if rules == "trace":  # the trace's own blocks; no prompt is too long
        return {"block_size": group.get("block_size") if listed is None else listed, "rules": rules}
    return {key: group[key] for key in ("block_size", "max_model_len") if key in group} | {"rules": rules}


def _used(group: Group) -> dict[str, Any]:
    """The group without the arguments that its class ignores or takes from the requests."""
    name = _class(group)
    void = {key for classes, holds, keys in _VOID if name in classes and holds(group) for key in keys}
    void |= set(_BY_WORKLOAD.get(name, ()))
    return {
        key: _used(value) if isinstance(value, Mapping) else value for key, value in group.items() if key not in void
    }


def _in_order(group: Group, used: dict[str, Any]) -> dict[str, Any]:
    """The used settings in the order of the config."""
    return {key: used[key] for key in (*group, *(key for key in used if key not in group)) if key in used}


def _class(group: Group) -> str:
    return str(group.get("_target_", "")).rsplit(".", 1)[-1]
