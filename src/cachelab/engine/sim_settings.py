"""The settings of the simulator, and the rules between them."""

from dataclasses import field
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.history import HistoryName
from cachelab.engine.kv_layout import GiB
from cachelab.engine.kv_memory import kv_bytes
from cachelab.engine.sizes import EngineSizes, VllmBlocks
from cachelab.engine.step_cost import StepCost
from cachelab.engine.table_cost import AnyCost
from cachelab.engine.vllm.extra_args import NOT_SIMULATED, SETTINGS, check_extra_args
from cachelab.engine.vllm.host_tier import HostGiB, check_host_blocks
from cachelab.engine.vllm.hybrid_blocks import Platform
from cachelab.errors import ConfigError
from cachelab.model.kv_model import KvModel
from cachelab.model.layer_group import LayerGroups
from cachelab.strict_config import STRICT, Count, FilePath

DEFAULT_BLOCKS = 10_000
"""The number of blocks if neither a number nor a memory is given, vLLM's null block included."""


@dataclass(frozen=True, config=STRICT)
class SimSettings(EngineSizes):
    """The settings of SimEngine.

    `layers`: the model's layers, in groups. `model`: a config.json, its folder or an id on the hub, from which vLLM's
    own layers of that model say what they keep (`kv_cache_dtype`: as in vLLM). vLLM's own code decides which layers
    share blocks. Without both the model has full-attention layers of `kv_model`. `platform` decides the block size
    of models with recurrent states.
    `tensor_parallel_size` divides the heads; the sizes are then those of one GPU.

    The cache has `num_blocks` blocks, or as many as `kv_cache_gib` holds, or as many as `gpu_memory_gib` holds after
    `weights_gib`; at most one of these is given. `gpu_memory_utilization` is the share of `gpu_memory_gib` that is
    used. `at_gib`: further memories with which the schedule runs too, as points of a curve by size.

    `decode`: `token` emits a reply token by token. `jump` emits it in two steps, which is exact only with
    `max_num_seqs=1`, no host tier (a small host tier refuses many blocks at once that it accepts one by one) and
    full-attention layers only. `auto` jumps where that is exact. With more sequences, no host tier and full-attention
    layers only it takes steps in which only decodes run together: records, times and number of steps are those of
    `token`. `max_output_tokens` cuts every reply.
    `host_cache_gib` turns on vLLM's KV offloading, whose transfers take no simulated time. `kv_model` sets how many
    blocks fit in one GiB. `args` are further fields of vLLM's EngineArgs, such as `scheduling_policy`. With
    `max_model_len` None only requests that the cache cannot hold are rejected. The sizes are described in EngineSizes.
    """

    num_blocks: VllmBlocks | None = None
    kv_cache_gib: GiB | None = None
    gpu_memory_gib: GiB | None = None
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.92
    weights_gib: Annotated[float, Field(ge=0, le=1 << 20, allow_inf_nan=False)] = 0.0
    at_gib: Annotated[list[GiB], Field(max_length=100)] = field(default_factory=list)
    layers: LayerGroups | None = None
    model: FilePath | None = None
    model_cache_dir: FilePath | None = None
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    platform: Platform = "cuda"
    tensor_parallel_size: Annotated[int, Field(gt=0, le=1024)] = 1
    enable_prefix_caching: bool = True
    max_output_tokens: Count | None = None
    history: HistoryName = "recorded"
    decode: Literal["auto", "token", "jump"] = "auto"
    host_cache_gib: HostGiB = 0.0
    offload_prompt_only: bool = True
    kv_model: KvModel = field(default_factory=KvModel)
    cost: AnyCost = field(default_factory=StepCost)
    args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_extra_args(self.args, SETTINGS, NOT_SIMULATED)
        if self.kv_bytes is None and self.num_blocks is None:
            object.__setattr__(self, "num_blocks", DEFAULT_BLOCKS)
        if self.kv_bytes is not None and self.num_blocks is not None:
            raise ConfigError(
                f"engine.num_blocks: {self.num_blocks}, but the memory is also given (engine.kv_cache_gib or "
                "engine.gpu_memory_gib): set engine.num_blocks=null"
            )
        if self.layers is not None and self.model is not None:
            raise ConfigError("engine.layers: engine.model, which has layers of its own, is also set: set one of them")
        if self.model is None and self.kv_cache_dtype != "auto":
            raise ConfigError("engine.kv_cache_dtype: it belongs to engine.model: state dtype in each of engine.layers")
        if self.is_plain:
            self.check_sizes()
            check_host_blocks(self.host_cache_gib, self.kv_model.bytes_per_token * self.block_size)
        elif self.host_cache_gib:
            raise ConfigError(
                "engine.host_cache_gib: a host tier is simulated without engine.layers and engine.model: set it to 0"
            )
        if self.decode == "jump" and not self.may_jump:
            raise ConfigError(
                "engine.decode: jump is exact only with engine.max_num_seqs=1, without a host tier and without "
                "engine.layers and engine.model: use auto"
            )

    @cached_property
    def kv_bytes(self) -> int | None:
        """The memory for the KV cache in bytes; None if the number of blocks is given."""
        return kv_bytes(self.kv_cache_gib, self.gpu_memory_gib, self.gpu_memory_utilization, self.weights_gib)

    @property
    def is_plain(self) -> bool:
        """Whether the model has full-attention layers only, those of `kv_model`."""
        return self.layers is None and self.model is None

    @property
    def may_jump(self) -> bool:
        """Whether a reply emitted in two steps leaves the same blocks as one emitted token by token."""
        return self.max_num_seqs == 1 and not self.host_cache_gib and self.is_plain

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the layout assumes, for readers of the numbers."""
        if self.model is None:
            return ()
        return (
            f"The KV-cache layout is that of vLLM's own layers of engine.model, with block sizes of {self.platform}. "
            "The format of the weights is left out: it does not change the layout.",
        )
