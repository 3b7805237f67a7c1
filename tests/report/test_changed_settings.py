"""The settings of a run that differ from the defaults."""

from dataclasses import replace

from cachelab.composition import composed
from cachelab.report.changed_settings import changed_settings
from cachelab.tracking.description import RunDescription
from cachelab.used_settings import used_settings


def changed(description: RunDescription, *overrides: str) -> list[tuple[str, ...]]:
    made = composed(overrides)
    choices = dict(made.hydra.runtime.choices)
    used = used_settings(made.config)
    return [*changed_settings(replace(description, config=made.config, used=used, choices=choices)).rows]


def test_nothing_differs_without_overrides(description: RunDescription) -> None:
    assert changed(description) == []


def test_options_and_settings_with_their_defaults(description: RunDescription) -> None:
    rows = changed(description, "engine=replay", "engine.num_blocks=300", "order=sessions", "order.num_users=3")
    assert ("engine", "replay", "sim") in rows
    assert ("order", "sessions", "by_conversation") in rows
    assert ("engine.num_blocks", "300", "10000") in rows
    assert [row for row in rows if row[0] == "order.num_users"] == [("order.num_users", "3", "4")]


def test_settings_of_a_mapping_that_is_no_group(description: RunDescription) -> None:
    assert changed(description, "report.png=true", "artifacts=[requests]") == [
        ("artifacts", '["requests"]', '["trace", "requests", "blocks", "per_turn", "capacity", "figures"]'),
        ("report.png", "true", "false"),
    ]


def test_what_an_experiment_sets_differs_too(description: RunDescription) -> None:
    rows = changed(description, "experiment=multi_turn")
    assert ("filter", "guide", "none") in rows
    assert ("engine.block_size", "8", "16") in rows


def test_an_option_within_an_option_has_its_own_defaults(description: RunDescription) -> None:
    rows = changed(description, "engine.cost.step_s=0.01")
    assert rows == [("engine.cost.step_s", "0.01", "0.008")]
    rows = changed(description, "engine/cost=table", "engine.cost.path=steps.json")
    assert ("engine/cost", "table", "linear") in rows
