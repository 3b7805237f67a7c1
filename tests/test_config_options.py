"""Which options have a setting or a group."""

import pytest

from cachelab.config_options import (
    group_of,
    option_of_class,
    options_of,
    options_with_group,
    options_with_setting,
    placed_at,
)


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("order.rate_scale", ["order=timed"]),
        ("fleet.num_replicas", ["fleet=replicas"]),
        ("engine.record_steps", ["engine=cpu", "engine=cuda"]),
        ("engine.policy.ttl_s", ["engine/policy=ttl", "engine/policy=ttl_1h"]),
        ("engine.kv_model.num_layers", ["engine=replay", "engine=sim"]),
        ("order.colour", []),
        ("colour", []),
    ],
)
def test_a_setting_is_found_in_the_options_that_have_it(key: str, options: list[str]) -> None:
    assert options_with_setting(key) == options


def test_a_group_inside_an_option_is_found_with_the_option_that_has_it() -> None:
    assert placed_at("engine.real") == ("engine=agreement", "engine")
    assert placed_at("engine.policy") is None
    assert placed_at("engine") is None
    assert option_of_class("engine", "ServerEngine") == "server"
    assert option_of_class("engine", "NoEngine") is None


def test_a_group_is_found_in_the_options_that_have_it() -> None:
    assert options_with_group("engine/policy") == ["engine=replay"]
    assert options_with_group("engine/cost") == ["engine=sim"]
    assert options_with_group("engine/colour") == []
    assert options_with_group("price") == []


def test_a_key_that_is_a_group() -> None:
    assert group_of("fleet.router") == "fleet/router"
    assert group_of("fleet.events") is None
    assert group_of("") is None
    assert options_of("price") == ["price=gpu_hours", "price=per_token"]
