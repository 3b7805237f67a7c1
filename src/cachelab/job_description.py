"""What a store is told about a job, before it runs and if it fails."""

from typing import TYPE_CHECKING, Any

from cachelab.job_context import JobContext

if TYPE_CHECKING:
    from cachelab.tracking.description import RunDescription

Config = dict[str, Any]
"""A composed config as plain data, interpolations resolved."""


def describe_job(config: Config, context: JobContext) -> "RunDescription":
    """What a store is told about the job before it runs."""
    import yaml

    from cachelab.engine.vllm.core import installed_vllm
    from cachelab.tracking.description import describe
    from cachelab.used_settings import runs_vllm

    return describe(
        run_name=context.run_name,
        config=config,
        config_yaml=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        overrides=context.overrides,
        command=context.command,
        engine=str(context.choices["engine"]),
        engine_version=installed_vllm() if runs_vllm(config["engine"]) else None,
        output_dir=context.output_dir,
        sweep=context.sweep,
        choices=context.choices,
    )


def leave_record(config: Config, context: JobContext, error: Exception) -> None:
    """Write the record of a job that failed before it had one, so that the sweep's table shows the reason."""
    from cachelab.tracking.job_record import FILE
    from cachelab.tracking.offline import failed_record

    if not (context.output_dir / FILE).exists():
        failed_record(describe_job(config, context), error).write(context.output_dir)
