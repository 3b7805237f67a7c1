"""The root of the config: one dictionary a group, and what belongs to no group."""

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from cachelab.strict_config import STRICT, FilePath, Text

Group = dict[str, Any]
Artifact = Literal["trace", "requests", "blocks", "per_turn", "capacity", "figures"]
"""The files that a run may leave out; config.yaml, metrics.json and summary.md it always writes."""


def _each_once(names: list[str]) -> list[str]:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice} is named twice: leave one of the two out")
    return names


Package = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", max_length=255)]
EachOnce = AfterValidator(_each_once)


@dataclass(frozen=True, config=STRICT)
class SweepConfig:
    """How a sweep meets what earlier sweeps did.

    `skip_finished` None: a sweep that did not finish is taken up again, its finished jobs kept; True: so is any job of
    the experiment that finished before; False: every job runs. `take_over`: take up a sweep that is marked as running
    on another machine.
    """

    skip_finished: bool | None = None
    take_over: bool = False


@dataclass(frozen=True, config=STRICT)
class ComparisonConfig:
    """How the jobs of a sweep are compared; `baseline` names one of them (None: the last)."""

    baseline: Text | Annotated[int, Field(ge=0)] | None = None


@dataclass(frozen=True, config=STRICT)
class Root:
    """The composed config, checked; each group is still plain data (`_target_` and its arguments)."""

    dataset: Group
    tokenizer: Group
    filter: Group
    trace: Group
    order: Group
    engine: Group
    metrics: dict[Text, Text]
    tracking: Group
    objective: Annotated[list[Text], Field(min_length=1), EachOnce]
    history: Literal["recorded", "forced", "generated"] = "recorded"
    artifacts: Annotated[list[Artifact], EachOnce] = Field(default_factory=lambda: list(get_args(Artifact)))
    objective_constraints: dict[Text, Text] = Field(default_factory=dict)
    comparison: ComparisonConfig = Field(default_factory=ComparisonConfig)
    sweep: SweepConfig = Field(default_factory=SweepConfig)
    sync: FilePath | None = None
    export: Group | None = None
    cache_dir: FilePath | None = None
    plugins: Annotated[list[Package], EachOnce] = Field(default_factory=list)
