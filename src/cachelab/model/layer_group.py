"""Layers of a model that keep the same kind of KV cache, stated by hand."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from cachelab.inner_settings import inner_objects
from cachelab.model.kv_model import BYTES, Dtype
from cachelab.strict_config import STRICT

LayerKind = Literal["full", "window", "chunked", "mla", "mamba"]

HeadCount = Annotated[int, Field(gt=0, le=65_536)]
Tokens = Annotated[int, Field(gt=0, le=1 << 30)]

_NEEDED: dict[LayerKind, tuple[str, ...]] = {
    "full": ("heads", "head_size"),
    "window": ("heads", "head_size", "window"),
    "chunked": ("heads", "head_size", "window"),
    "mla": ("head_size",),
    "mamba": ("state_bytes",),
}
_ALLOWED: dict[LayerKind, tuple[str, ...]] = {
    "full": ("value_head_size",),
    "window": ("value_head_size",),
    "chunked": (),
    "mla": (),
    "mamba": (),
}
"""Fields of each kind, next to those that it needs. Every kind has `layers`, and all but mamba `dtype`."""


@dataclass(frozen=True, config=STRICT)
class LayerGroup:
    """`layers` layers of one kind.

    `full` keeps the keys and values of all tokens. `window` keeps those of the last `window` tokens. `chunked` keeps
    those of the current chunk of `window` tokens. `mla` keeps one vector of `head_size` numbers per token, the
    compressed one and the rotary key together (DeepSeek-V3: 512 + 64). `mamba` keeps one state of `state_bytes` bytes
    per sequence, whatever its length. `heads` are key-value heads. `value_head_size` is `head_size` if it is not given.
    """

    kind: LayerKind
    layers: Annotated[int, Field(gt=0, le=10_000)]
    heads: HeadCount | None = None
    head_size: HeadCount | None = None
    value_head_size: HeadCount | None = None
    window: Tokens | None = None
    state_bytes: Annotated[int, Field(gt=0, le=1 << 40)] | None = None
    dtype: Dtype = "bfloat16"

    def __post_init__(self) -> None:
        for name in ("heads", "head_size", "value_head_size", "window", "state_bytes"):
            given = getattr(self, name) is not None
            if given and name not in _NEEDED[self.kind] + _ALLOWED[self.kind]:
                raise ValueError(f"layers of kind {self.kind} have no {name}: leave it out")
            if not given and name in _NEEDED[self.kind]:
                raise ValueError(f"layers of kind {self.kind} need {name}: add it")

    def bytes_per_token(self, tensor_parallel_size: int = 1) -> int:
        """The bytes that one token adds to one layer on one GPU; 0 for mamba, whose state does not grow."""
        if self.kind == "mamba" or self.head_size is None:
            return 0
        vectors = self.head_size + (0 if self.kind == "mla" else self.value_head_size or self.head_size)
        return heads_per_gpu(self.heads or 1, tensor_parallel_size) * vectors * BYTES[self.dtype]


def heads_per_gpu(heads: int, tensor_parallel_size: int) -> int:
    """The key-value heads of one GPU. With more GPUs than heads, each head is on several of them."""
    return max(1, heads // tensor_parallel_size)


def _checked(value: Any) -> Any:
    """The groups of a list of plain dictionaries. Raises ConfigError that names the group and the field."""
    what = "a group of layers is {kind: full, layers: 32, ...}"
    return inner_objects(LayerGroup, value, "engine.layers", what)


LayerGroups = Annotated[list[LayerGroup], Field(min_length=1, max_length=1000), BeforeValidator(_checked)]
"""A list of groups, each as a dictionary or as an object."""
