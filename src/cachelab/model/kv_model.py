"""The size of a model's KV cache, computed without the model."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.model.kv_config import kv_of_config
from cachelab.strict_config import STRICT, FilePath

Dtype = Literal["float32", "bfloat16", "float16", "fp8"]

BYTES: dict[Dtype, int] = {"float32": 4, "bfloat16": 2, "float16": 2, "fp8": 1}


@dataclass(frozen=True, config=STRICT)
class KvModel:
    """The sizes that determine the KV-cache bytes per token. The defaults are Llama-3.2-1B's: 32 KiB per token.

    `config`, a model's Hugging Face config.json or its folder, replaces the other fields. Raises ConfigError if it
    cannot be read, or if the model's cache does not grow by the same number of bytes for each token.
    """

    num_layers: Annotated[int, Field(gt=0, le=10_000)] = 16
    num_kv_heads: Annotated[int, Field(gt=0, le=65_536)] = 8
    head_size: Annotated[int, Field(gt=0, le=65_536)] = 64
    dtype: Dtype = "bfloat16"
    config: FilePath | None = None

    @cached_property
    def layers(self) -> tuple[int, int]:
        """The number of layers, and the bytes of one token's keys and values in each layer."""
        if self.config is not None:
            return kv_of_config(self.config)
        return self.num_layers, 2 * self.num_kv_heads * self.head_size * BYTES[self.dtype]

    @property
    def bytes_per_token(self) -> int:
        """The bytes of one token's keys and values in all layers."""
        num_layers, bytes_per_layer = self.layers
        return num_layers * bytes_per_layer
