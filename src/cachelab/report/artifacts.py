"""Writes the files of a finished run into one folder."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np

from cachelab.atomic import atomic_folder
from cachelab.config import Artifact, ReportConfig
from cachelab.explanation.fixed_rows import fixed_rows
from cachelab.explanation.result import Explanation
from cachelab.explanation.tables import cause_table
from cachelab.explanation.tables import request_table as explained_table
from cachelab.export.trace_writer import block_trace_lines, trace_rows, write_lines, write_trace
from cachelab.metrics.base import AnyMetric
from cachelab.metrics.blocks import block_table, num_hit_blocks
from cachelab.metrics.capacity import capacity_table, points_table
from cachelab.metrics.losses import losses_table
from cachelab.metrics.observation import Observation, if_measured
from cachelab.metrics.requests import request_table
from cachelab.metrics.turn import turn_table
from cachelab.pipeline import Result
from cachelab.prefix_cache.request_blocks import is_block_trace
from cachelab.report.columns import BLOCKS, BREAKS, BREAKS_PER_REQUEST, REQUESTS
from cachelab.report.explanation import write_report
from cachelab.report.figures import FIGURES, draw
from cachelab.report.latex import write_latex
from cachelab.report.layout_section import layout_data
from cachelab.report.page.run_page import run_page
from cachelab.report.sections import sections
from cachelab.report.style import save
from cachelab.report.summary import MAX_TURNS, summary
from cachelab.report.tables import write_csv, write_parquet
from cachelab.tracking.description import RunDescription

log = logging.getLogger(__name__)


def write_artifacts(
    result: Result,
    description: RunDescription,
    metrics: Sequence[AnyMetric],
    tokenizer_name: str,
    kept: Sequence[Artifact] = get_args(Artifact),
    *,
    explanation: Explanation | None = None,
    options: ReportConfig | None = None,
) -> Path:
    """Write `<output_dir>/artifacts` atomically and return it. An existing folder of that name is replaced.

    config.yaml, metrics.json, summary.md and report.html are always written, with engine/kv_groups.json if vLLM ran and
    step_costs.csv if scheduler steps were measured. `kept` selects from: trace.jsonl.gz (also trace_as_run.jsonl.gz if
    prompts or replies changed; for a block trace block_trace.jsonl.gz), requests.parquet, blocks.parquet, per_turn.csv
    and losses_per_turn.csv, capacity.csv (with `engine.at_gib` or `engine.sim_at` also capacity_points.csv),
    figures/*.svg (with `options.png` also *.png). With an `explanation` also explanation.md, explanation.html,
    breaks.csv, breaks.parquet, breaks_per_request.parquet and, if texts are shown, fixed.jsonl.gz. `options`: see
    ReportConfig (None: its defaults). A table that needs what the engine did not measure is left out. Raises OSError if
    a file cannot be written.
    """
    options = options or ReportConfig()
    folder = description.output_dir / "artifacts"
    way_out = "write elsewhere with hydra.run.dir=FOLDER, or keep fewer files with artifacts=[requests]"
    with atomic_folder(folder, way_out) as part:
        _write(part, result, description, metrics, tokenizer_name, kept, explanation, options)
        if options.format == "latex":
            write_latex(part / "tables", sections(result, description, max_turns=MAX_TURNS))
        if explanation is not None:
            write_explanation(part, explanation)
            write_report(part, explanation, description.run_name)
    return folder


def write_explanation(folder: Path, explanation: Explanation) -> None:
    """Write the tables of an explanation and, if texts are shown, the workload with all causes undone."""
    causes = cause_table(explanation)
    write_csv(folder / "breaks.csv", causes)
    write_parquet(folder / "breaks.parquet", causes, BREAKS)
    write_parquet(folder / "breaks_per_request.parquet", explained_table(explanation), BREAKS_PER_REQUEST)
    if explanation.fixed is not None and explanation.shows_text:
        write_trace(folder / "fixed.jsonl.gz", fixed_rows(explanation.fixed))


def _write(
    folder: Path,
    result: Result,
    description: RunDescription,
    metrics: Sequence[AnyMetric],
    tokenizer_name: str,
    kept: Sequence[Artifact],
    explanation: Explanation | None,
    options: ReportConfig,
) -> None:
    (folder / "config.yaml").write_text(description.config_yaml, encoding="utf-8")
    requests, observation = result.workload.requests, result.observation
    if "trace" in kept:
        trace = "block_trace.jsonl.gz" if is_block_trace(requests) else "trace.jsonl.gz"
        if _fits(trace, len(requests), "trace_requests", options.max_trace_requests):
            with _timed(trace):
                _write_trace(folder / trace, result, tokenizer_name)
    if "requests" in kept:
        with _timed("requests.parquet"):
            write_parquet(folder / "requests.parquet", request_table(observation), REQUESTS)
    if "blocks" in kept:
        with _timed("blocks.parquet"):
            _write_blocks(folder / "blocks.parquet", observation, options.max_block_rows)
    if "per_turn" in kept:
        with _timed("per_turn.csv, losses_per_turn.csv"):
            for name, table in (("per_turn", turn_table), ("losses_per_turn", losses_table)):
                if (columns := if_measured(table, observation)) is not None:
                    write_csv(folder / f"{name}.csv", columns)
    if "capacity" in kept:
        with _timed("capacity.csv"):
            if (columns := if_measured(capacity_table, observation)) is not None:
                write_csv(folder / "capacity.csv", columns)
            if runs := result.run.comparison_runs:
                write_csv(folder / "capacity_points.csv", points_table(requests, runs))
    if (layout := result.run.counters.layout) is not None:
        (folder / "engine").mkdir()
        (folder / "engine" / "kv_groups.json").write_text(json.dumps(layout_data(layout), indent=2) + "\n")
    if (steps := result.run.steps) is not None:
        steps.averaged().write(folder / "step_costs.csv")
    numbers = {"values": dict(result.numbers.values), "series": {k: dict(v) for k, v in result.numbers.series.items()}}
    (folder / "metrics.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    with _timed("figures"):
        shown = _write_figures(folder / "figures", result, options.png) if "figures" in kept else {}
    with _timed("summary.md, report.html"):
        (folder / "summary.md").write_text(summary(result, description, metrics, shown, explanation), encoding="utf-8")
        captions = {name: what for name, what in shown.items() if what is not None}
        page = run_page(result, description, folder / "figures", captions, explanation)
        (folder / "report.html").write_text(page, encoding="utf-8")


def _write_trace(path: Path, result: Result, tokenizer_name: str) -> None:
    """Write the requests, and trace_as_run.jsonl.gz if they ran with other prompts or replies."""
    requests = result.workload.requests
    if is_block_trace(requests):  # it has no text, and no tokens
        return write_lines(path, block_trace_lines(requests), level=2)
    write_trace(path, trace_rows(requests, tokenizer_name))
    if differs(result):
        write_trace(path.with_name("trace_as_run.jsonl.gz"), trace_rows(result.run.requests or (), tokenizer_name))


def _write_blocks(path: Path, observation: Observation, most: int | None) -> None:
    """Write blocks.parquet if it has at most so many rows; the rows are freed at the end."""
    if not _fits("blocks.parquet", if_measured(num_hit_blocks, observation) or 0, "block_rows", most):
        return
    if (blocks := if_measured(block_table, observation)) is not None:
        write_parquet(path, blocks, BLOCKS)


def _fits(file: str, number: int, what: str, most: int | None) -> bool:
    """Whether a file of so many rows is written; if not, a line of the log says so."""
    if most is None or number <= most:
        return True
    log.info(
        "%s is left out: it would have %s rows, more than report.max_%s=%s (null writes it)", file, number, what, most
    )
    return False


@contextmanager
def _timed(name: str) -> Iterator[None]:
    """Log at debug level what an artifact costs."""
    start = time.perf_counter()
    yield
    log.debug("%s: %.2f s", name, time.perf_counter() - start)


def _write_figures(folder: Path, result: Result, png: bool) -> dict[str, str | None]:
    """Write the figures. Returns what each figure shows, None for a figure without data."""
    folder.mkdir()
    shown: dict[str, str | None] = {}
    for name, figure in draw(result).items():
        shown[name] = None if figure is None else FIGURES[name]
        if figure is not None:
            save(figure, folder, name, png=png)
    return shown


def differs(result: Result) -> bool:
    """Whether the engine's prompts or replies differ from the trace's. A reply that was only cut does not differ."""
    recorded = {request.id: request for request in result.workload.requests}
    for ran in result.run.requests or ():
        before = recorded[ran.id]
        reply_ids = before.reply_ids[: len(ran.reply_ids)]
        if len(before.reply_ids) and not np.array_equal(reply_ids, ran.reply_ids):
            return True
        if not np.array_equal(before.prompt_ids, ran.prompt_ids):
            return True
    return False
