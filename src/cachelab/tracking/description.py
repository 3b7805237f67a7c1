"""The description of a run that a tracking store gets before the run starts."""

import json
import logging
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cachelab
from cachelab.secret import masked
from cachelab.used_settings import used_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepMember:
    """A job's place in its sweep: its number and the id of the sweep's own run (None: the sweep is not tracked).

    `swept` are the keys that the sweep varies.
    """

    parent_run_id: str | None
    number: int
    swept: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunDescription:
    """A run before it starts: its resolved config and its own folder, `output_dir`.

    `used` are the settings that the run uses, as far as they are known (used_settings.py); `parameters` are the same as
    text. `choices` maps each config group to the chosen option. `job_digest` is equal for jobs that give the same
    numbers (job_digest.py); None until it is known.
    """

    run_name: str
    config: Mapping[str, Any]
    config_yaml: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    command: str
    output_dir: Path
    overrides: Sequence[str] = ()
    sweep: SweepMember | None = None
    job_digest: str | None = None
    used: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, str | None] = field(default_factory=dict)

    def settled(self, used: Mapping[str, Any]) -> "RunDescription":
        """The description with the final list of the settings that the run uses."""
        return replace(self, used=used, parameters=parameters_of(used))


def parameters_of(used: Mapping[str, Any]) -> dict[str, str]:
    """Dotted key -> text of every setting but `metrics`, which only say what is measured; passwords are masked."""
    return {key: masked(value) for key, value in flatten(used) if not key.startswith("metrics.")}


def describe(
    *,
    run_name: str,
    config: Mapping[str, Any],
    config_yaml: str,
    overrides: Sequence[str],
    command: str,
    engine: str,
    engine_version: str | None,
    output_dir: Path,
    sweep: SweepMember | None = None,
    choices: Mapping[str, str | None] | None = None,
) -> RunDescription:
    """The description of a run of the installed cachelab; passwords in addresses are masked."""
    tags = {
        "cachelab.version": cachelab.__version__,
        "cachelab.engine": engine,
        "cachelab.overrides": masked(" ".join(overrides)),
    }
    if engine_version is not None:
        tags["cachelab.vllm_version"] = engine_version
    used = used_settings(config)
    return RunDescription(
        run_name=run_name,
        config=config,
        config_yaml=masked(config_yaml),
        parameters=parameters_of(used),
        tags=tags | source_tags(Path(cachelab.__file__).parent),
        command=masked(command),
        output_dir=output_dir,
        overrides=[masked(override) for override in overrides],
        sweep=sweep,
        used=used,
        choices=choices or {},
    )


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of a nested config as (dotted key, text); values other than strings are written as JSON."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)


def source_tags(folder: Path) -> dict[str, str]:
    """Tags with the git commit of the source in this folder, and whether the source was changed since; {} without git.

    MLflow's own git context is not used: it reads the repository of the started script, which need not be cachelab's;
    it does not report changes; and a run without MLflow (tracking=none, a sweep's job record) has the tags too.
    """
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {}  # installed inside another repository, whose commit does not describe this source
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return {"mlflow.source.git.commit": commit, "cachelab.source_changed": json.dumps(bool(changed))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.debug("git %s: %s", arguments[0], error)
        return None
    return done.stdout.strip() if done.returncode == 0 else None
