"""The groups of layers in which vLLM keeps a model's KV cache, and their sizes."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, cast, get_args

from pydantic import Field

from cachelab.model.layer_group import LayerGroup, LayerKind

GIB = 1 << 30

GiB = Annotated[float, Field(gt=0, le=1 << 20, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class KvGroup:
    """Layers that share one table of blocks.

    `block_bytes`: the bytes of a block in all layers of the group. `window`: how many tokens the layers look back
    (None: all).
    """

    kind: str
    layers: int
    block_size: int
    block_bytes: int
    window: int | None = None

    @property
    def keeps_all_tokens(self) -> bool:
        """Whether the group holds every token of a request, so that it grows with the request's length."""
        return self.kind in ("full", "mla")

    def same_sized_layers(self) -> LayerGroup:
        """Layers of this kind whose blocks have this group's size. Heads and numbers are taken together, as bytes.

        Raises ValueError for a kind that cannot be stated.
        """
        if self.kind not in get_args(LayerKind):
            raise ValueError(f"layers of kind {self.kind} cannot be stated")
        kind, page_bytes = cast("LayerKind", self.kind), self.block_bytes // self.layers
        if kind == "mamba":
            return LayerGroup(kind, self.layers, state_bytes=page_bytes)
        token_bytes = page_bytes // self.block_size
        if kind == "mla":
            return LayerGroup(kind, self.layers, head_size=token_bytes, dtype="fp8")
        return LayerGroup(kind, self.layers, 1, token_bytes // 2, window=self.window, dtype="fp8")


@dataclass(frozen=True, slots=True)
class KvLayout:
    """The KV cache of one run.

    All groups take their blocks from one pool of `num_blocks` usable blocks of `block_bytes` bytes (vLLM's null block
    is not counted). `hit_alignment`: the length of a cache hit is a multiple of this many tokens. `tokens_that_fit` is
    vLLM's "KV cache size" in tokens, for requests of `max_model_len` tokens. `plain_block_size` is the block size that
    a model of full-attention layers alone would have.
    """

    groups: tuple[KvGroup, ...]
    block_bytes: int
    num_blocks: int
    hit_alignment: int
    max_model_len: int
    tokens_that_fit: int
    plain_block_size: int

    @property
    def is_plain(self) -> bool:
        """Whether it is one group that holds all tokens: every block can be hit, and a request's blocks are a chain."""
        return len(self.groups) == 1 and self.groups[0].keeps_all_tokens

    @property
    def bytes_per_token(self) -> float:
        """The bytes by which a long request's cache grows per token; 0 if no group holds all tokens."""
        return sum(self.block_bytes / group.block_size for group in self.groups if group.keeps_all_tokens)

    @property
    def gib(self) -> float:
        """The size of the pool in GiB, vLLM's null block included."""
        return (self.num_blocks + 1) * self.block_bytes / GIB

    @property
    def plain_blocks(self) -> int:
        """How many blocks of `plain_block_size` the pool holds if only the layers that keep all tokens used it."""
        return int(self.num_blocks / self._plain_blocks_per_token) // self.plain_block_size

    @property
    def plain_bytes_per_token(self) -> float:
        """The bytes per token if only the layers that keep all tokens used the pool."""
        return self.block_bytes * float(self._plain_blocks_per_token)

    @property
    def _plain_blocks_per_token(self) -> Fraction:
        lasting = [group for group in self.groups if group.keeps_all_tokens]
        # Where no layer keeps all tokens, the group with the largest blocks takes the place of those that do.
        counted = lasting or [max(self.groups, key=lambda group: group.block_size)]
        return sum((Fraction(1, group.block_size) for group in counted), Fraction(0))

    def __str__(self) -> str:
        """One line for the log."""
        groups = ", ".join(f"{group.layers} {group.kind} in blocks of {group.block_size}" for group in self.groups)
        return (
            f"{len(self.groups)} groups of layers ({groups}), {self.block_bytes:,} bytes per block, "
            f"{self.bytes_per_token:,.0f} bytes per token, {self.gib:,.2f} GiB, {self.tokens_that_fit:,} tokens fit in "
            f"requests of {self.max_model_len:,}"
        )
