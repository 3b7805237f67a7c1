"""The tables of the reuse of blocks."""

from collections.abc import Mapping

from cachelab.pipeline import Result
from cachelab.report.section import Section, count, decimal, plain, seconds

_GAP_STATISTICS = ("mean", "min", "p50", "p95", "max")


def reuse(values: Mapping[str, float]) -> Section:
    """How many blocks were hit, and how often."""
    rows = [
        ("distinct blocks hit", count(values.get("blocks/reused_distinct"))),
        ("hits after a block's first hit (reuses)", count(values.get("blocks/reuses"))),
        ("hits per block, mean", decimal(values.get("blocks/hits_per_block_mean"))),
        ("hits per block, max", count(values.get("blocks/hits_per_block_max"))),
    ]
    return Section("Block reuse", ("number", "value"), rows, "" if values.get("blocks/hit") else "No block was hit.")


def reuse_gaps(result: Result) -> Section:
    """The gaps between two hits of a block."""
    values = result.numbers.values
    rows = [
        (
            f"in seconds{clock_suffix(result)}",
            *(seconds(values.get(f"reuse_gap/{statistic}_s")) for statistic in _GAP_STATISTICS),
        ),
        ("in requests", *(plain(values.get(f"reuse_gap/{statistic}_requests")) for statistic in _GAP_STATISTICS)),
    ]
    note = "" if values.get("blocks/reuses") else "No block was hit twice."
    return Section("Gap between two hits of a block", ("gap", *_GAP_STATISTICS), rows, note)


def clock_suffix(result: Result) -> str:
    """The words after a title that mark simulated seconds, "" for seconds of a real clock."""
    return " (simulated)" if result.run.counters.clock == "simulated" else ""
