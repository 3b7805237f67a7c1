"""Tables of a run's settings and of what its stages counted before the engine started."""

from collections.abc import Iterator, Mapping
from typing import Any

from cachelab.report.section import ABSENT, Section, plain
from cachelab.tracking.description import RunDescription, flatten

_STAGES = ("dataset", "tokenizer", "filter", "trace", "order", "fleet", "engine")


def settings(description: RunDescription) -> Section:
    """One row per stage: the chosen option and the arguments that were used. Unset arguments are omitted."""
    rows = []
    for stage in (*_STAGES, *(["price"] if description.used.get("price") else [])):
        group = description.used.get(stage)
        if group is None:
            rows.append((stage, ABSENT, "not used"))
            continue
        option = description.choices.get(stage) or str(group.get("_target_", "?.?")).split(".")[-2]
        rows.append((stage, option, " ".join(f"{key}={value}" for key, value in _arguments(group))))
    return Section("Settings", ("stage", "option", "arguments"), rows, left=frozenset({0, 1, 2}))


def stages(values: Mapping[str, float]) -> Section:
    """The counts of dataset, filter and trace. Only the number of zeros is shown, since a clean source has many."""
    counted = {name: value for name, value in values.items() if name.split("/")[0] in ("dataset", "filter", "trace")}
    rows = [(name, plain(value)) for name, value in counted.items() if value]
    zeros = len(counted) - len(rows)
    return Section(
        "Dataset, filter, trace", ("number", "value"), rows, f"{zeros} more are 0 (metrics.json)." if zeros else ""
    )


def _arguments(group: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The arguments without the cost and KV models, which are in config.yaml."""
    own = {key: value for key, value in group.items() if key not in ("cost", "kv_model") and not _empty(value)}
    return ((key, value) for key, value in flatten(own) if not key.endswith("_target_") and value not in ("null", "{}"))


def _empty(value: object) -> bool:
    return value is None or value == {} or value == []
