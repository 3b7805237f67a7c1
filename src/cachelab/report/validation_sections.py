"""The tables that hold a run to something outside it: published numbers, a second engine."""

from cachelab.metrics.agreement import differences
from cachelab.metrics.observation import Observation
from cachelab.metrics.reference_results import REFERENCE_RESULTS
from cachelab.pipeline import Result
from cachelab.report.section import ABSENT, Section, count, percent


def published(result: Result) -> Section:
    """Published numbers beside those of this run; no rows unless the run has them."""
    values, rows = result.numbers.values, []
    for claim in REFERENCE_RESULTS:
        if (value := values.get(claim.metric.name)) is None:
            continue
        show = percent if claim.unit == "ratio" else count
        verdict = {True: "pass", False: "FAIL", None: ABSENT}[claim.holds(result.observation, value)]
        rows.append((claim.what, show(claim.published), show(value), verdict))
    note = "Hit rates in tokens; why the two LRUs differ is in docs/replay.md." if rows else ""
    return Section("Published numbers", ("number", "published", "here", ""), rows, note, frozenset({0, 3}))


def agreement(observation: Observation) -> Section:
    """The first and the worst request that a second engine answered otherwise; no rows where there was none."""
    found = differences(observation)
    if found is None:
        return Section("Agreement", (), [])
    compared = len(observation.completed)
    rows = [("requests compared", "", count(compared), ""), ("mismatches", "", count(len(found)), "")]
    named = [("first", found[0]), ("worst", max(found, key=lambda pair: pair.tokens))] if found else []
    for label, pair in named:
        rows.append(
            (f"{label} mismatch", pair.request_id, count(pair.cached_tokens), count(pair.reference_cached_tokens))
        )
    columns = ("", "request", "cached tokens", "the second engine's")
    return Section("Agreement with a second engine", columns, rows, left=frozenset({0, 1}))
