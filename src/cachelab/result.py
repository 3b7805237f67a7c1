"""`cachelab.Result`: what one run gives to Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cachelab.errors import CachelabError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from cachelab.explanation.result import Explanation
    from cachelab.objective import Outcome
    from cachelab.pipeline import Result as PipelineResult
    from cachelab.report.columns import Column
    from cachelab.tracking.description import RunDescription


@dataclass(frozen=True, repr=False)
class Result:
    """A finished run: its numbers, and tables and figures that are made at first use.

    `metrics` and `series` have the names, units and definitions of docs/metrics.md; a series maps a turn index to a
    number. `summary` is the text of summary.md (Markdown). `folder` is the run's folder; its files are in
    `folder / "artifacts"`. `run_id` is the run in the tracking store (None: not tracked), `untracked` the reason if
    the store was lost during the run. `explanation` holds the breaks and their causes (None: not asked for).
    """

    name: str
    metrics: Mapping[str, float]
    series: Mapping[str, Mapping[int, float]]
    summary: str
    folder: Path
    run_id: str | None
    untracked: str | None
    _run: "PipelineResult" = field(compare=False)
    explanation: "Explanation | None" = None

    @classmethod
    def of(
        cls,
        run: "PipelineResult",
        description: "RunDescription",
        outcome: "Outcome",
        explanation: "Explanation | None" = None,
    ) -> Self:
        """The result of a run whose files are written."""
        return cls(
            name=description.run_name,
            metrics=run.numbers.values,
            series=run.numbers.series,
            summary=(description.output_dir / "artifacts" / "summary.md").read_text(encoding="utf-8"),
            folder=description.output_dir,
            run_id=outcome.run_id,
            untracked=outcome.untracked,
            _run=run,
            explanation=explanation,
        )

    @cached_property
    def requests(self) -> "pd.DataFrame":
        """One row per request, as in requests.parquet: outcome, tokens, blocks, hits, times in seconds."""
        from cachelab.metrics.requests import request_table
        from cachelab.report.columns import REQUESTS

        return _frame(request_table(self._run.observation), REQUESTS)

    @cached_property
    def blocks(self) -> "pd.DataFrame":
        """One row per block that was hit, as in blocks.parquet, in the order of the first hits."""
        from cachelab.metrics.blocks import block_table
        from cachelab.report.columns import BLOCKS

        return _frame(block_table(self._run.observation), BLOCKS)

    @cached_property
    def per_turn(self) -> "pd.DataFrame":
        """One row per turn index of the completed requests, as in per_turn.csv."""
        from cachelab.metrics.turn import turn_table
        from cachelab.report.columns import PER_TURN

        return _frame(turn_table(self._run.observation), PER_TURN)

    @cached_property
    def capacity(self) -> "pd.DataFrame":
        """One row per cache size, as in capacity.csv: hit rates of LRU and of Belady's optimum."""
        from cachelab.metrics.capacity import capacity_table
        from cachelab.report.columns import CAPACITY

        return _frame(capacity_table(self._run.observation), CAPACITY)

    @cached_property
    def figures(self) -> "Mapping[str, Figure]":
        """The figures by name, without those that have no data in this run."""
        from cachelab.report.figures import draw

        return {name: figure for name, figure in draw(self._run).items() if figure is not None}

    def __repr__(self) -> str:
        from cachelab.report.headline import headline

        return f"<cachelab.Result {self.name}: {headline(self._run)}; {self.folder}>"


class RequirementError(CachelabError):
    """A run does not meet the bounds of `require`. `result` is the finished run; the message names each unmet bound."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


def _frame(columns: Mapping[str, Sequence[Any]], described: "Mapping[str, Column]") -> "pd.DataFrame":
    """The columns as a DataFrame with the types of the Parquet files (integers with gaps are float64)."""
    from cachelab.report.tables import arrow_table

    frame: pd.DataFrame = arrow_table(columns, described).to_pandas()
    return frame
