"""The host tier: vLLM's own KV offloading to main memory."""

from typing import TYPE_CHECKING, Any

from cachelab.engine.sizes import MOST_BLOCKS
from cachelab.errors import ConfigError

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.outputs import KVConnectorOutput

GIB = 1 << 30


def offloading_args(host_cache_gib: float, offload_prompt_only: bool) -> dict[str, Any]:
    """The fields of vLLM's EngineArgs that turn its OffloadingConnector on; none for 0 GiB."""
    if not host_cache_gib:
        return {}
    from vllm.config import KVTransferConfig

    transfer = KVTransferConfig(kv_connector_extra_config={"offload_prompt_only": offload_prompt_only})
    return {"kv_offloading_size": host_cache_gib, "kv_transfer_config": transfer}


def check_host_blocks(host_cache_gib: float, bytes_per_block: int) -> None:
    """Refuse a host tier that holds nothing, or more blocks than vLLM can keep account of. Raises ConfigError."""
    if host_cache_gib and host_cache_gib * GIB < bytes_per_block:
        raise ConfigError(
            f"engine.host_cache_gib: {host_cache_gib} GiB is less than one block ({bytes_per_block:,} bytes): "
            "set more, or 0 to turn the host tier off"
        )
    if host_cache_gib * GIB / bytes_per_block > MOST_BLOCKS:
        raise ConfigError(
            f"engine.host_cache_gib: {host_cache_gib} GiB are more than {MOST_BLOCKS:,} blocks of {bytes_per_block:,} "
            f"bytes: set at most {MOST_BLOCKS * bytes_per_block / GIB:g}"
        )


def completed_transfers(scheduled: "SchedulerOutput") -> "KVConnectorOutput | None":
    """The answer of a worker that completes each load and each store of a step at once; None without a host tier."""
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
