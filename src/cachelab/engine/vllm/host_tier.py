"""The host tier: vLLM's own KV offloading to main memory."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from cachelab.engine.sizes import MAX_VLLM_BLOCKS
from cachelab.errors import ConfigError

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.outputs import KVConnectorOutput

GIB = 1 << 30

HostGiB = Annotated[float, Field(ge=0, le=1 << 20, allow_inf_nan=False)]
"""The size of the host tier in GiB; 0 turns it off."""


def offloading_args(host_cache_gib: float, offload_prompt_only: bool) -> dict[str, Any]:
    """The fields of vLLM's EngineArgs that turn on its OffloadingConnector; none for 0 GiB."""
    if not host_cache_gib:
        return {}
    from vllm.config import KVTransferConfig

    transfer = KVTransferConfig(kv_connector_extra_config={"offload_prompt_only": offload_prompt_only})
    return {"kv_offloading_size": host_cache_gib, "kv_transfer_config": transfer}


def check_host_blocks(host_cache_gib: float, bytes_per_block: int) -> None:
    """Refuse a host tier that holds no block, or more blocks than vLLM can manage. Raises ConfigError."""
    if host_cache_gib and host_cache_gib * GIB < bytes_per_block:
        raise ConfigError(
            f"engine.host_cache_gib: {host_cache_gib} GiB is less than one block ({bytes_per_block:,} bytes): "
            "set more, or 0 to turn the host tier off"
        )
    if host_cache_gib * GIB / bytes_per_block > MAX_VLLM_BLOCKS:
        raise ConfigError(
            f"engine.host_cache_gib: {host_cache_gib} GiB are more than {MAX_VLLM_BLOCKS:,} blocks of "
            f"{bytes_per_block:,} bytes: set at most {MAX_VLLM_BLOCKS * bytes_per_block / GIB:g}"
        )


def completed_transfers(scheduled: "SchedulerOutput") -> "KVConnectorOutput | None":
    """The answer of a worker that completes every load and store of a step at once; None without a host tier."""
    metadata = scheduled.kv_connector_metadata
    if metadata is None:
        return None
    from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import OffloadingWorkerMetadata
    from vllm.v1.outputs import KVConnectorOutput

    done = OffloadingWorkerMetadata()
    for job_id in (*metadata.load_jobs, *metadata.store_jobs):
        done.mark_completed(job_id)
    loaded = {job.req_id for job in metadata.load_jobs.values()}
    return KVConnectorOutput(finished_recving=loaded or None, kv_connector_worker_meta=done)
