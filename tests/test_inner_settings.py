"""Objects that a setting holds as dictionaries: each wrong one is a line that names the place."""

from typing import Any

import pytest

from cachelab.build import build_part
from cachelab.composition import composed
from cachelab.errors import ConfigError

THINK = "order.think_s={distribution: exponential, mean_s: 30"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fleet.events=[{1: 2}]", "fleet.events[0]: 1 is no name of a setting: set at_s, action, replica"),
        ("fleet.events=[60]", "fleet.events[0]: an event is {at_s: 60, action: kill, replica: 0}, got 60"),
        (
            "fleet.events=[{at_s: 1, action: add}, {at_s: 2, action: stop}]",
            "fleet.events[1].action: input should be 'add', 'drain' or 'kill', got 'stop'",
        ),
        (
            "fleet.events=[{at: 1, action: add}]",
            "fleet.events[0].at_s: a value is needed and none was given",
        ),
        (
            "fleet.events=[{at_s: 1, action: kill, replicas: 0}]",
            "fleet.events[0].replicas: there is no such setting: did you mean fleet.events[0].replica?",
        ),
        (
            f"{THINK}, 7: 8}}",
            "order.think_s: 7 is no name of a setting: set distribution, mean_s, sigma, seed",
        ),
        (f"{THINK}, sede: 8}}", "order.think_s.sede: there is no such setting: did you mean order.think_s.seed?"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str) -> None:
    group = override.partition(".")[0]
    option = {"fleet": "fleet=replicas", "order": "order=sessions"}[group]
    config: Any = composed([option, override]).config[group]
    with pytest.raises(ConfigError) as refused:
        build_part(group, config, [])
    assert str(refused.value) == message
