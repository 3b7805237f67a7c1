"""What a fleet of replicas refuses, in one line and before an engine starts."""

from typing import Any

import pytest

from cachelab.build import build_parts, build_root
from cachelab.composition import composed
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.errors import ConfigError
from cachelab.fleet.event import FleetEvent
from cachelab.fleet.prefix_approximate import PrefixApproximate
from cachelab.fleet.replicas import Replicas
from cachelab.fleet.round_robin import RoundRobin
from cachelab.fleet.router import Router
from cachelab.model.layer_group import LayerGroup
from cachelab.order.timed import Timed
from cachelab.request import Schedule
from workloads import random_requests

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


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["engine=cpu"], "fleet: replicas are engines of kind sim or replay, not cpu: set engine=sim or engine=replay"),
        (["engine=replay", "engine/policy=ttl"], r"engine\.policy: replicas evict by LRU only, not by ttl"),
    ],
)
def test_engine_without_replicas_is_refused_before_anything_is_read(settings: list[str], words: str) -> None:
    config = composed(["fleet=replicas", *settings]).config
    with pytest.raises(ConfigError, match=words):
        build_parts(build_root(config))


def test_replay_that_is_compared_with_a_simulator() -> None:
    with pytest.raises(ConfigError, match="sim_at"):
        Replicas(2).run(ReplayEngine(max_model_len=256, sim_at=[100]), Schedule(()), lambda ended: None)


def test_replay_says_whose_seconds_the_settings_with_seconds_have() -> None:
    schedule = Timed(start="uniform").arrange(random_requests(1, 3))
    engine = ReplayEngine(block_size=8, max_model_len=256, num_blocks=40)

    def notes(router: Router, events: list[FleetEvent]) -> list[str]:
        run = Replicas(2, router, events).run(engine, schedule, lambda ended: None)
        return [note for note in run.notes if note.startswith("The seconds of")]

    drain = [FleetEvent(1.0, "drain", 0)]
    assert notes(PrefixApproximate(), drain) == [
        "The seconds of fleet.events and fleet.router.ttl_s are also those of the replay, without all waiting."
    ]
    assert notes(PrefixApproximate(ttl_s=None), []) == notes(RoundRobin(), []) == []
    assert len(notes(RoundRobin(), drain)) == 1
