"""The root of the config: one dictionary per group, and the settings outside the groups."""

import logging
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from cachelab.strict_config import STRICT, FilePath, Text

log = logging.getLogger(__name__)

Group = dict[str, Any]
Artifact = Literal["trace", "requests", "blocks", "per_turn", "capacity", "figures"]
"""The files that a run may leave out; it always writes config.yaml, metrics.json and summary.md."""


def _each_once(names: list[str]) -> list[str]:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice} is named twice: leave one of the two out")
    return names


Package = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", max_length=255)]
EachOnce = AfterValidator(_each_once)


@dataclass(frozen=True, config=STRICT)
class SweepConfig:
    """Which earlier results a sweep uses.

    `skip_finished` None: resume an unfinished sweep and keep its finished jobs; True: also skip any job that finished
    in the same experiment; False: run every job. `force_resume`: resume a sweep that is marked as running on another
    machine. `take_over` is the old name of `force_resume`.
    """

    skip_finished: bool | None = None
    force_resume: bool = False
    take_over: bool | None = None

    def __post_init__(self) -> None:
        if self.take_over:
            log.warning("sweep.take_over is deprecated: use sweep.force_resume")
            object.__setattr__(self, "force_resume", True)


@dataclass(frozen=True, config=STRICT)
class ComparisonConfig:
    """How the jobs of a sweep are compared; `baseline` names one of them (None: the last job)."""

    baseline: Text | Annotated[int, Field(ge=0)] | None = None


@dataclass(frozen=True, config=STRICT)
class ReportConfig:
    """What a run prints at its end, and the form of its tables.

    It prints a summary of at most 40 lines, or (`verbose`) all tables. summary.md has all tables; with the format
    `latex` they are written as tables/*.tex too. trace.jsonl.gz (for a block trace block_trace.jsonl.gz) is left out if
    there are more than `max_trace_requests` requests, and blocks.parquet if it would have more than `max_block_rows`
    rows (None: never). Figures are SVG files, with `png` PNG files too.
    """

    verbose: bool = False
    format: Literal["markdown", "latex"] = "markdown"
    max_trace_requests: Annotated[int, Field(ge=0)] | None = 20_000
    max_block_rows: Annotated[int, Field(ge=0)] | None = 1_000_000
    png: bool = False


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
    fleet: Group
    objective: Annotated[list[Text], Field(min_length=1), EachOnce]
    history: Literal["recorded", "forced", "generated"] = "recorded"
    artifacts: Annotated[list[Artifact], EachOnce] = Field(default_factory=lambda: list(get_args(Artifact)))
    objective_constraints: dict[Text, Text] = Field(default_factory=dict)
    require: dict[Text, Text] = Field(default_factory=dict)
    comparison: ComparisonConfig = Field(default_factory=ComparisonConfig)
    sweep: SweepConfig = Field(default_factory=SweepConfig)
    report: ReportConfig = Field(default_factory=ReportConfig)
    sync: FilePath | None = None
    export: Group | None = None
    price: Group | None = None
    explain: Group | None = None
    cache_dir: FilePath | None = None
    plugins: Annotated[list[Package], EachOnce] = Field(default_factory=list)
