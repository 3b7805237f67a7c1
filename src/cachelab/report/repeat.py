"""On what a run's numbers depend, and where its inputs are kept."""

from cachelab.pipeline import Result
from cachelab.report.section import ABSENT
from cachelab.tracking.description import RunDescription


def repeat_facts(result: Result, description: RunDescription) -> list[str]:
    """The source, the dataset and the files from which the run can be repeated, one line each."""
    dataset, tags = result.workload.dataset, description.tags
    commit = tags.get("mlflow.source.git.commit", "unknown")
    changed = " (and changes since)" if tags.get("cachelab.source_changed") == "true" else ""
    vllm = tags.get("cachelab.vllm_version")
    own = f"vLLM {vllm}" if vllm else "no vLLM in this process"
    versions = f"cachelab {tags.get('cachelab.version', ABSENT)}, {own}"
    return [
        f"source: commit {commit}{changed}; {versions}",
        f"dataset: {dataset.name} from {dataset.source}, SHA-256 {dataset.digest}",
        "resolved config: config.yaml; requests, if kept: trace.jsonl.gz (run them again with dataset=trace "
        "dataset.path=FILE trace=multi_turn) or, for a block trace, block_trace.jsonl.gz (dataset=block_trace "
        "dataset.path=FILE)",
    ]
