"""The size of a model's KV cache, without the model."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.part import PART

Positive = Annotated[int, Field(gt=0)]
Dtype = Literal["float32", "bfloat16", "float16", "fp8"]

_BYTES: dict[Dtype, int] = {"float32": 4, "bfloat16": 2, "float16": 2, "fp8": 1}


@dataclass(frozen=True, config=PART)
class KvModel:
    """What a token's keys and values take: the defaults are Llama-3.2-1B's, 32 KiB a token."""

    num_layers: Positive = 16
    num_kv_heads: Positive = 8
    head_size: Positive = 64
    dtype: Dtype = "bfloat16"

    @property
    def bytes_per_token(self) -> int:
        """Keys and values of all heads and layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_size * _BYTES[self.dtype]
