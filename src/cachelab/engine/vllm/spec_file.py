"""vLLM's specs of layers as JSON, so that a cached file creates no objects but these. This module imports vLLM."""

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from fractions import Fraction
from typing import Any

import torch
from vllm.v1 import kv_cache_interface
from vllm.v1.attention.backend import MultipleOf
from vllm.v1.attention.backends.registry import MambaAttentionBackendEnum

from cachelab.engine.vllm.layer_specs import LayerSpecs

_ENUMS: Mapping[str, type[Enum]] = {
    enum.__name__: enum
    for enum in (kv_cache_interface.KVQuantMode, kv_cache_interface.SparseCacheRole, MambaAttentionBackendEnum)
}


def to_json(specs: LayerSpecs) -> list[dict[str, Any]]:
    """One row per spec, with the names of its layers. Raises TypeError for a spec or a value that is not known."""
    rows: list[dict[str, Any]] = []
    row_of: dict[Any, dict[str, Any]] = {}
    for name, spec in specs.items():
        if spec not in row_of:
            if type(spec).__module__ != kv_cache_interface.__name__:
                raise TypeError(f"layer {name} has a spec of its own kind, {type(spec).__name__}")
            values = {field.name: _plain(getattr(spec, field.name)) for field in fields(spec) if field.init}
            row_of[spec] = {"type": type(spec).__name__, "fields": values, "layers": []}
            rows.append(row_of[spec])
        row_of[spec]["layers"].append(name)
    return rows


def from_json(rows: list[dict[str, Any]], order: list[str]) -> LayerSpecs:
    """The specs of `to_json`, in the order of the layers."""
    specs: LayerSpecs = {}
    for row in rows:
        values = {name: _value(value) for name, value in row["fields"].items()}
        spec = getattr(kv_cache_interface, row["type"])(**values)
        specs |= dict.fromkeys(row["layers"], spec)
    return {name: specs[name] for name in order}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return {"enum": type(value).__name__, "name": value.name}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, Fraction):
        return {"fraction": str(value)}
    if isinstance(value, MultipleOf):
        return {"multiple_of": value.base}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (int, str)):
        return value
    raise TypeError(f"a layer's spec holds a {type(value).__name__}")


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_value(one) for one in value)
    if not isinstance(value, dict):
        return value
    if "enum" in value:
        return _ENUMS[value["enum"]][value["name"]]
    if "dtype" in value:
        return getattr(torch, value["dtype"])
    return MultipleOf(value["multiple_of"]) if "multiple_of" in value else Fraction(value["fraction"])
