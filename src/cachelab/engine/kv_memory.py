"""The memory that a simulated GPU has for its KV cache."""

from cachelab.engine.kv_layout import GIB
from cachelab.errors import ConfigError


def kv_bytes(
    kv_cache_gib: float | None, gpu_memory_gib: float | None, gpu_memory_utilization: float, weights_gib: float
) -> int | None:
    """The bytes of the KV cache; None if no memory is given.

    They are `kv_cache_gib`, or what `weights_gib` leave of the used share of `gpu_memory_gib`. vLLM also subtracts its
    activations and CUDA graphs, which it measures: add them to `weights_gib`. Raises ConfigError if both are given, or
    if nothing is left.
    """
    if kv_cache_gib is not None:
        if gpu_memory_gib is not None:
            raise ConfigError("engine.kv_cache_gib: engine.gpu_memory_gib is also set: set one of them to null")
        return int(kv_cache_gib * GIB)
    if gpu_memory_gib is None:
        if weights_gib:
            raise ConfigError("engine.weights_gib: they take part of engine.gpu_memory_gib, which is not set: set it")
        return None
    left = gpu_memory_gib * gpu_memory_utilization - weights_gib
    if left <= 0:
        raise ConfigError(
            f"engine.weights_gib: {weights_gib:g} GiB leave nothing of {gpu_memory_utilization:g} x "
            f"{gpu_memory_gib:g} GiB: set engine.gpu_memory_gib higher"
        )
    return int(left * GIB)
