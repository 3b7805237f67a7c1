"""The root of the config: one dictionary a group, and what belongs to no group."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.part import PART

Group = dict[str, Any]
Artifact = Literal["trace", "requests", "blocks", "per_turn", "capacity", "figures"]
"""The files that a run may leave out; config.yaml, metrics.json and summary.md it always writes."""


@dataclass(frozen=True, config=PART)
class Sweep:
    """How a sweep meets what earlier sweeps did.

    `skip_finished` None: a sweep that did not finish is taken up again, its finished jobs kept; True: so is any job of
    the experiment that finished before; False: every job runs. `take_over`: take up a sweep that is marked as running
    on another machine.
    """

    skip_finished: bool | None = None
    take_over: bool = False


@dataclass(frozen=True, config=PART)
class Comparison:
    """How the jobs of a sweep are compared; `baseline` names one of them (None: the last)."""

    baseline: str | int | None = None


@dataclass(frozen=True, config=PART)
class Root:
    """The composed config, checked; each group is still plain data (`_target_` and its arguments)."""

    dataset: Group
    tokenizer: Group
    filter: Group
    trace: Group
    order: Group
    engine: Group
    metrics: dict[str, str]
    tracking: Group
    objective: Annotated[list[str], Field(min_length=1)]
    history: Literal["recorded", "forced", "generated"] = "recorded"
    artifacts: list[Artifact] = Field(default_factory=lambda: list(get_args(Artifact)))
    objective_constraints: dict[str, str] = Field(default_factory=dict)
    comparison: Comparison = Field(default_factory=Comparison)
    sweep: Sweep = Field(default_factory=Sweep)
    sync: str | None = None
    export: Group | None = None
    cache_dir: str | None = None
    plugins: list[str] = Field(default_factory=list)
