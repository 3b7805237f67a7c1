"""The root of the config: one dictionary a group, and what belongs to no group."""

from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.part import PART

Group = dict[str, Any]


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
    export: Group | None = None
    cache_dir: str | None = None
    plugins: list[str] = Field(default_factory=list)
