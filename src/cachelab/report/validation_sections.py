"""Validation tables: the run compared with published numbers and with a second engine."""

from cachelab.metrics.agreement import mismatches
from cachelab.metrics.observation import Observation
from cachelab.metrics.reference_results import REFERENCE_RESULTS
from cachelab.pipeline import Result
from cachelab.report.section import ABSENT, Section, count, percent


def published(result: Result) -> Section:
    """Published numbers and those of this run; no rows if the run has none of them."""
    values, rows = result.numbers.values, []
    for reference in REFERENCE_RESULTS:
        if (value := values.get(reference.metric.name)) is None:
            continue
        show = percent if reference.unit == "ratio" else count
        verdict = {True: "pass", False: "FAIL", None: ABSENT}[reference.holds(result.observation, value)]
        rows.append((reference.what, show(reference.published), show(value), verdict))
    note = "Hit rates are in tokens. docs/replay.md explains why the two LRU caches differ." if rows else ""
    return Section("Published numbers", ("number", "published", "this run", ""), rows, note, frozenset({0, 3}))


def agreement(observation: Observation) -> Section:
    """The number of mismatches, the first and the largest one; no rows if no second engine ran."""
    found = mismatches(observation)
    if found is None:
        return Section("Agreement", (), [])
    compared = len(observation.completed)
    rows = [("requests compared", "", count(compared), ""), ("mismatches", "", count(len(found)), "")]
    named = [("first", found[0]), ("largest", max(found, key=lambda pair: pair.tokens))] if found else []
    for label, pair in named:
        rows.append(
            (f"{label} mismatch", pair.request_id, count(pair.cached_tokens), count(pair.reference_cached_tokens))
        )
    columns = ("", "request", "cached tokens", "second engine")
    return Section("Agreement with a second engine", columns, rows, left=frozenset({0, 1}))
