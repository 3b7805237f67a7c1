"""What a run was composed of, and what its stages did before the engine started."""

from collections.abc import Iterator, Mapping
from typing import Any

from cachelab.report.section import ABSENT, Section, plain
from cachelab.tracking.description import RunDescription, flatten

_STAGES = ("dataset", "tokenizer", "filter", "trace", "order", "engine")


def settings(description: RunDescription) -> Section:
    """One row per stage: the option that was chosen and the arguments that were used, the unset ones left out."""
    rows = []
    for stage in _STAGES:
        group = description.used.get(stage)
        if group is None:
            rows.append((stage, ABSENT, "not used"))
            continue
        option = description.choices.get(stage) or str(group.get("_target_", "?.?")).split(".")[-2]
        rows.append((stage, option, " ".join(f"{key}={value}" for key, value in _arguments(group))))
    return Section("Settings", ("stage", "option", "arguments"), rows, left=frozenset({0, 1, 2}))


def stages(values: Mapping[str, float]) -> Section:
    """What dataset, filter and trace counted; the many zeros of a clean source are only counted."""
    counted = {name: value for name, value in values.items() if name.split("/")[0] in ("dataset", "filter", "trace")}
    rows = [(name, plain(value)) for name, value in counted.items() if value]
    zeros = len(counted) - len(rows)
    return Section(
        "Before the engine", ("number", "value"), rows, f"{zeros} more are 0 (metrics.json)." if zeros else ""
    )


def _arguments(group: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The cost and KV models stay out: they are in config.yaml."""
    own = {key: value for key, value in group.items() if key not in ("cost", "kv_model") and not _empty(value)}
    return ((key, value) for key, value in flatten(own) if not key.endswith("_target_") and value not in ("null", "{}"))


def _empty(value: object) -> bool:
    return value is None or value == {} or value == []
