"""The tables of a finished run. An absent number is shown as "-", with the reason if it is known."""

from collections.abc import Mapping

from cachelab.metrics.observation import if_measured
from cachelab.pipeline import Result
from cachelab.report.calibration_section import calibration
from cachelab.report.engine_sections import engine_counters, outcomes, timing
from cachelab.report.fleet_section import replicas
from cachelab.report.gap_section import gap
from cachelab.report.hit_sections import capacity, hit_rates, losses
from cachelab.report.layout_section import layout_section
from cachelab.report.price_section import prices
from cachelab.report.reuse_sections import reuse, reuse_gaps
from cachelab.report.section import Section, plain
from cachelab.report.settings import settings, stages
from cachelab.report.turns_section import turns
from cachelab.report.validation_sections import agreement, published
from cachelab.report.worst_conversations import worst_section
from cachelab.requirement import bounds_of
from cachelab.tracking.description import RunDescription


def sections(result: Result, description: RunDescription, *, max_turns: int) -> list[Section]:
    """Every table of a run, in reading order.

    Of more than `max_turns` turns or replicas, those in the middle share one row.
    """
    values = result.numbers.values
    found = [
        settings(description),
        requirements(values, description),
        published(result),
        hit_rates(result),
        if_measured(capacity, result),
        losses(result.observation),
        worst_section(result.observation),
        outcomes(result),
        turns(result.observation, max_turns),
        replicas(result.observation, max_turns),
        reuse(values),
        reuse_gaps(result),
        layout_section(result.run.counters.layout),
        engine_counters(result),
        timing(result),
        calibration(values),
        prices(result, description),
        gap(result),
        agreement(result.observation),
        stages(values),
    ]
    return [section for section in found if section is not None and section.rows]


def asked_for(result: Result, description: RunDescription) -> list[Section]:
    """The tables that a run has only because its config asks for them."""
    values = result.numbers.values
    found = [
        requirements(values, description),
        published(result),
        gap(result),
        agreement(result.observation),
        calibration(values),
        prices(result, description),
    ]
    return [section for section in found if section.rows]


def requirements(values: Mapping[str, float], description: RunDescription) -> Section:
    """The bounds of `require`, each with the run's value."""
    rows = []
    for name, bound in bounds_of(description.config.get("require") or {}).items():
        value = values.get(name)
        met = value is not None and bound.distance(value) <= 0
        rows.append((name, plain(value), str(bound), "yes" if met else "no"))
    return Section("Requirements", ("metric", "value", "required", "met"), rows, left=frozenset({0, 3}))
