"""`cachelab.compare`: two finished runs compared by their files, without running them again."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from cachelab.errors import CachelabError, ConfigError
from cachelab.report.section import ABSENT, Section
from cachelab.sweep.comparison import Comparison, Difference, arm_of
from cachelab.sweep.comparison import compare as compare_arms
from cachelab.sweep.logged_run import LoggedRun, logged_run

if TYPE_CHECKING:
    from typing import TypeAlias

    from cachelab.result import Result

    RunReference: TypeAlias = str | os.PathLike[str] | Result

_NO_SETTINGS = ("tracking.", "sweep.", "comparison.", "hydra.", "cache_dir", "sync", "artifacts")
"""Beginnings of parameters that do not change a run's numbers."""


@dataclass(frozen=True)
class RunComparison:
    """Two runs, conversation by conversation; run B is the baseline.

    `parameters` are the settings that differ: name -> (run A's value, run B's value), None where a run has none.
    `sections` are the tables that `print(...)` shows.
    """

    comparison: Comparison
    parameters: Mapping[str, tuple[str | None, str | None]]
    sections: Sequence[Section]

    @property
    def verdict(self) -> str:
        """One line: which hit rate is higher, by how much, and the 95 % interval of the difference."""
        return self.comparison.verdict

    @property
    def differences(self) -> Mapping[str, Difference]:
        """Each hit rate of the conversations that both runs completed."""
        return self.comparison.differences

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain data, as `cachelab compare --json` prints it."""
        found = self.comparison
        return {
            "run_a": found.arm,
            "run_b": found.baseline,
            "verdict": found.verdict,
            "conversations": found.num_conversations,
            "conversations_only_in_a": found.only_in_arm,
            "conversations_only_in_b": found.only_in_baseline,
            "differences": {
                name: {
                    "a": one.arm,
                    "b": one.baseline,
                    "difference": one.difference,
                    "low": one.low,
                    "high": one.high,
                    "verdict": one.verdict,
                }
                for name, one in found.differences.items()
            },
            "parameters": {name: {"a": a, "b": b} for name, (a, b) in self.parameters.items()},
        }

    def __str__(self) -> str:
        from rich.console import Console

        from cachelab.report.console import print_tables

        text = StringIO()
        print_tables(self.sections, "as_dict()", Console(file=text, width=120, highlight=False))
        return f"{text.getvalue()}{self.verdict}"


def compare(run_a: "RunReference", run_b: "RunReference", *, tracking_uri: str | None = None) -> RunComparison:
    """Compare two finished runs conversation by conversation; run B is the baseline.

    Each run is a `Result`, a folder (a run's own, or its artifacts) or an MLflow run id. The ids belong to the store at
    `tracking_uri`, or else to $MLFLOW_TRACKING_URI, or else to mlflow.db in the working directory.

    Raises ConfigError if both are the same run, TrackingError if a run cannot be read, CachelabError if the runs have
    no conversation in common.
    """
    from cachelab.secret import passwords_kept
    from cachelab.sweep.comparison_sections import comparison_sections
    from cachelab.sweep.sweep_job import SweepJob

    with passwords_kept():
        a, b = (logged_run(_reference(run), tracking_uri) for run in (run_a, run_b))
    if a.ids & b.ids:
        raise ConfigError(f"{_reference(run_a)} and {_reference(run_b)} are the same run: name two runs")
    names = _names(a, b)
    found = compare_arms(arm_of(names[0], a.requests), arm_of(names[1], b.requests))
    if not found.num_conversations:
        raise CachelabError(
            f"{names[0]} and {names[1]} have no conversation in common: compare runs of the same dataset"
        )
    jobs = [SweepJob(n, (), "FINISHED", values=run.values) for n, run in enumerate((a, b))]
    parameters = _differing(a, b)
    sections = [*comparison_sections(jobs, names, [found]), *_parameter_section(parameters, names)]
    return RunComparison(found, parameters, sections)


def _reference(run: "RunReference") -> str | os.PathLike[str]:
    return run if isinstance(run, (str, os.PathLike)) else run.folder


def _names(a: LoggedRun, b: LoggedRun) -> tuple[str, str]:
    """The names of the runs without the overrides that both have; A and B in front of equal names."""
    one, other = a.name.split(" "), b.name.split(" ")
    names = (_without(one, other), _without(other, one))
    return names if names[0] != names[1] else (f"A: {names[0]}", f"B: {names[1]}")


def _without(words: Sequence[str], common: Sequence[str]) -> str:
    return " ".join([words[0], *(word for word in words[1:] if word not in common)])


def _differing(a: LoggedRun, b: LoggedRun) -> dict[str, tuple[str | None, str | None]]:
    """The parameters that differ. A parameter of only one run counts if both runs recorded exactly what they used."""
    both_exact = a.exact and b.exact
    return {
        name: (a.parameters.get(name), b.parameters.get(name))
        for name in dict.fromkeys([*a.parameters, *b.parameters])
        if not name.startswith(_NO_SETTINGS)
        and a.parameters.get(name) != b.parameters.get(name)
        and (both_exact or (name in a.parameters and name in b.parameters))
    }


def _parameter_section(
    parameters: Mapping[str, tuple[str | None, str | None]], names: tuple[str, str]
) -> list[Section]:
    rows = [(name, *(ABSENT if value is None else value for value in values)) for name, values in parameters.items()]
    note = "" if rows else "No setting differs."
    return [Section("Settings that differ", ("setting", *names), rows, note, frozenset({0, 1, 2}))]
