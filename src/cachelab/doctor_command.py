"""`cachelab doctor`: what a run needs, a line each, with what to do where it is missing."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cachelab.errors import CachelabError, ConfigError

_LEAST_FREE = 5 * 2**20  # bytes: the files of a small run, see error_format.py
_ORDER = {"ok": "green", "note": "yellow", "red": "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `state` is ok, note (nothing to do unless it is wanted) or red; `fix` says what to do."""

    what: str
    state: str
    found: str
    fix: str = ""

    @property
    def line(self) -> str:
        """The finding as text."""
        return f"{self.state:<5} {self.what:<11} {self.found}{f': {self.fix}' if self.fix else ''}"


def doctor_command(arguments: Sequence[str]) -> int:
    """Print the findings. The exit code: 1 if one is red, else 0. Raises ConfigError for arguments."""
    if arguments:
        raise ConfigError(f"doctor: {arguments[0]}: this command has no arguments")
    from rich.console import Console
    from rich.text import Text

    console, found = Console(highlight=False), list[Finding]()
    for finding in findings():
        found.append(finding)
        console.print(Text(finding.line, style=_ORDER[finding.state]), soft_wrap=True)
    return int(any(finding.state == "red" for finding in found))


def findings() -> Iterator[Finding]:
    """Every check, in the order in which it is printed."""
    yield Finding("Python", "ok", platform.python_version())
    yield vllm()
    yield torch()
    yield from tokenizers()
    yield store()
    yield disk(Path.cwd())
    yield gpu()
    yield threads()


def vllm() -> Finding:
    """The installed vLLM, which must be of the minor version that the engines were written for."""
    from cachelab.engine.vllm.core import VLLM_MINOR, installed_vllm

    version = installed_vllm()
    if version is None:
        return Finding("vLLM", "note", "not installed", "engine=replay works without it; pip install 'cachelab[cpu]'")
    if not version.startswith(f"{VLLM_MINOR}."):
        return Finding("vLLM", "red", f"{version}, needed is {VLLM_MINOR}.*", "pip install 'cachelab[cpu]'")
    return Finding("vLLM", "ok", f"{version} (needed: {VLLM_MINOR}.*)")


def torch() -> Finding:
    """The build of torch."""
    version = _version("torch")
    if version is None:
        return Finding("torch", "note", "not installed", "it comes with vLLM")
    return Finding("torch", "ok", version if "+" in version else f"{version} (the default build of its index)")


def tokenizers() -> Iterator[Finding]:
    """The tokenizers that run without a network."""
    mistral = _version("mistral-common")
    if mistral is None:
        yield Finding("tokenizer", "red", "mistral-common is not installed", "pip install mistral-common")
    else:
        yield Finding("tokenizer", "ok", f"mistral (bundled with mistral-common {mistral})")
    transformers = _version("transformers")
    if transformers is None:
        yield Finding("tokenizer", "note", "huggingface: no transformers", "pip install 'cachelab[hf]'")
        return
    from huggingface_hub.constants import HF_HUB_CACHE

    models = len(list(Path(HF_HUB_CACHE).glob("models--*/snapshots/*/tokenizer*.json")))
    yield Finding("tokenizer", "ok", f"huggingface (transformers {transformers}; files of the Hub at hand: {models})")


def store() -> Finding:
    """The MLflow store of runs without tracking.uri: whether it answers and has the tables of the installed MLflow."""
    from cachelab.secret import masked
    from cachelab.sqlite_address import database_file
    from cachelab.tracking.mlflow.tracking import MlflowTracking

    tracking = MlflowTracking(uri=None, experiment="cachelab", run_name=None, tags={})
    try:
        uri = tracking.absolute_uri()
        file = database_file(uri)
        if file is not None and not file.exists():
            return Finding("MLflow", "ok", f"{file} does not exist yet; the first run makes it")
        with tracking.reading() as client:
            client.search_experiments(max_results=1)
    except CachelabError as error:
        return Finding("MLflow", "red", str(error))
    return Finding("MLflow", "ok", f"{masked(uri, is_address=True)} answers (MLflow {_version('mlflow')})")


def disk(folder: Path) -> Finding:
    """The space for the files of runs."""
    from cachelab.disk import free_bytes, size

    free = free_bytes(folder)
    if free < _LEAST_FREE:
        return Finding("disk", "red", f"{size(free)} free in {folder}", "free some space, or work on another disk")
    if not os.access(folder, os.W_OK):
        return Finding("disk", "red", f"{folder} cannot be written", "work in a folder of your own")
    return Finding("disk", "ok", f"{size(free)} free in {folder}")


def gpu() -> Finding:
    """The NVIDIA GPUs that the driver lists; only engine=cuda needs one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("GPU", "note", "none: engine=cuda needs one, the other engines do not")
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("GPU", "note", f"nvidia-smi fails ({type(error).__name__})", "engine=cuda will not run")
    return Finding("GPU", "ok", "; ".join(done.stdout.splitlines()) or "none")


def threads() -> Finding:
    """The processor cores of this process and the limit of OpenMP."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS")
    return Finding("threads", "ok", f"{cores} cores, OMP_NUM_THREADS {limit or 'is not set'}")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
