"""What a job is told next to its config: its overrides, its folder, its place in a sweep."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.override import setting_label
from cachelab.tracking.description import SweepMember

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True)
class JobContext:
    """All that a job needs to know apart from its config.

    `overrides` are those of the command line; `choices` maps each config group to the chosen option (None: no option).
    `output_dir` is the job's own folder. `sweep` is None for a job on its own. `searching` says that a sweeper reads
    the job's objectives.
    """

    overrides: Sequence[str]
    choices: Mapping[str, str | None]
    output_dir: Path
    sweep: SweepMember | None = None
    searching: bool = False

    @classmethod
    def of(cls, hydra: "DictConfig") -> "JobContext":
        """The context of the job whose `hydra` node this is. Only this function reads that node for a job."""
        from hydra.types import RunMode
        from omegaconf import OmegaConf

        from cachelab.sweep.callback import PARENT_VARIABLE, SWEPT_VARIABLE

        overrides: Any = OmegaConf.to_container(hydra.overrides.task)
        in_sweep = hydra.mode == RunMode.MULTIRUN
        member = None
        if in_sweep:
            passed = hydra.job.env_set
            swept = tuple(key for key in passed.get(SWEPT_VARIABLE, "").split(",") if key)
            member = SweepMember(passed.get(PARENT_VARIABLE), hydra.job.num, swept)
        return cls(
            overrides=overrides,
            choices=dict(hydra.runtime.choices),
            output_dir=Path(hydra.runtime.output_dir),
            sweep=member,
            searching=in_sweep and "n_trials" in hydra.sweeper,
        )

    @classmethod
    def name_of(cls, hydra: "DictConfig") -> str:
        """The name of the job on its own whose `hydra` node this is, before it has a folder."""
        from omegaconf import OmegaConf

        overrides: Any = OmegaConf.to_container(hydra.overrides.task)  # a value may be an interpolation
        return cls(overrides, dict(hydra.runtime.choices), Path()).run_name

    @property
    def run_name(self) -> str:
        """What distinguishes this run: its experiment (or else its trace), then its overrides.

        A job of a sweep has the values of the settings that the sweep varies ("257 blocks, by_turn").
        """
        groups = ("tracking", "hydra", "sweep", "comparison", "require", "report")
        left_out = ("experiment=", "tracking=", "require=", "cache_dir=", *(f"{group}." for group in groups))
        named = [override for override in self.overrides if not override.lstrip("+").startswith(left_out)]
        if self.sweep is not None and self.sweep.swept:
            pairs = [override.lstrip("+").partition("=") for override in self.overrides]
            varied = [setting_label(key, value) for key, _, value in pairs if key in self.sweep.swept]
            if varied:
                return ", ".join(varied)
        return " ".join([self.choices.get("experiment") or f"trace={self.choices['trace']}", *named])

    @property
    def command(self) -> str:
        """The command that runs this job again."""
        return shlex.join(["python", "-m", "cachelab", *self.overrides])
