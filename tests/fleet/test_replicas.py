"""What a fleet of replicas refuses, in one line and before an engine starts."""

from typing import Any

import pytest

from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.errors import ConfigError
from cachelab.fleet.event import FleetEvent
from cachelab.fleet.prefix_approximate import PrefixApproximate
from cachelab.fleet.replicas import Replicas
from cachelab.model.layer_group import LayerGroup
from cachelab.request import Schedule

LAYERS = [LayerGroup(kind="full", layers=2, heads=2, head_size=64)]
LAYERS += [LayerGroup(kind="window", layers=2, heads=2, head_size=64, window=32)]


@pytest.mark.parametrize(
    ("changes", "fleet", "words"),
    [
        ({"host_cache_gib": 1.0}, {}, "replicas have no host tier"),
        ({"num_blocks": None, "kv_cache_gib": 1.0, "at_gib": [1.0]}, {}, "at_gib: a curve by memory"),
        ({"layers": LAYERS}, {"router": PrefixApproximate()}, "prefix_approximate counts blocks of full attention"),
        ({"history": "generated"}, {"events": [FleetEvent(1.0, "kill", 0)]}, "after a kill a request is sent again"),
    ],
)
def test_settings_that_replicas_do_not_have(changes: dict[str, Any], fleet: dict[str, Any], words: str) -> None:
    engine = SimEngine(**{"num_blocks": 1000, "max_model_len": 256, **changes})
    with pytest.raises(ConfigError, match=words) as refused:
        Replicas(2, **fleet).run(engine, Schedule(()), lambda ended: None)
    assert "\n" not in str(refused.value)


def test_replay_that_is_compared_with_a_simulator() -> None:
    with pytest.raises(ConfigError, match="sim_at"):
        Replicas(2).run(ReplayEngine(max_model_len=256, sim_at=[100]), Schedule(()), lambda ended: None)
