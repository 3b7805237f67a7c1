"""From plain config to parts, and what a wrong config is told."""

from pathlib import Path
from typing import Any

import pytest

from cachelab.build import build_metrics, build_part, build_root, build_settings
from cachelab.composition import composed
from cachelab.errors import ConfigError
from cachelab.order.sessions import Sessions

SESSIONS = {"_target_": "cachelab.order.sessions.Sessions", "num_users": 3}
GROUPS = ("dataset", "tokenizer", "filter", "trace", "order", "fleet", "engine", "tracking")
ROOT: dict[str, Any] = {group: {} for group in GROUPS} | {"metrics": {}, "objective": ["hit_rate/ideal"]}


def test_build_part_gives_the_object_that_target_names() -> None:
    assert build_part("order", SESSIONS, []) == Sessions(num_users=3)


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (SESSIONS | {"num_users": 0}, "order.num_users: input should be greater than 0, got 0"),
        (SESSIONS | {"num_users": "3"}, "order.num_users: input should be a valid integer, got '3'"),
        (SESSIONS | {"users": 3}, "order.users: there is no such setting"),
        ({"num_users": 3}, "order: .*_target_"),
        ({"_target_": "cachelab.order.nothing.Nothing"}, "order._target_: cannot build cachelab.order.nothing.Nothing"),
        ({"_target_": "os.system"}, "order._target_: cannot build os.system"),
    ],
)
def test_build_part_of_a_wrong_group_names_the_key(group: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        build_part("order", group, [])
    assert "\n" not in str(caught.value)


def test_message_of_a_nested_part_names_its_own_settings_in_full_and_those_of_its_group_as_they_are(
    tmp_path: Path,
) -> None:
    (tmp_path / "plane.csv").write_text("prefill_tokens,decode_sequences,context_tokens,seconds\n1,1,1,1\n2,2,2,2\n")
    engine = composed(["engine/cost=table", f"engine.cost.path={tmp_path / 'plane.csv'}"]).config["engine"]
    with pytest.raises(ConfigError, match=r"^engine\.cost\.path: .* and with engine\.max_num_seqs above 1$"):
        build_part("engine", engine, [])
    agreement = composed(["engine=agreement", "engine.real.block_size=7"]).config["engine"]
    with pytest.raises(ConfigError, match=r"engine\.real\.block_size"):
        build_part("engine", agreement, [])


def test_build_part_of_an_engine_in_place_of_an_agreement_says_where_it_is_chosen() -> None:
    with pytest.raises(ConfigError) as caught:
        build_part("engine", {"_target_": "cachelab.engine.server.server_engine.ServerEngine", "real": {}}, [])
    assert str(caught.value) == (
        "engine.real: there is no such setting with this option of engine, only with engine=agreement: write "
        "engine@engine.real=server instead of engine=server"
    )


def test_build_part_of_an_agreement_with_another_simulator_names_the_engines_that_it_takes() -> None:
    real = {"_target_": "cachelab.engine.replay.ReplayEngine"}
    with pytest.raises(ConfigError, match=r"^engine\.real: an agreement .* write engine@engine\.real=cpu, cuda or se"):
        build_part("engine", {"_target_": "cachelab.engine.agreement.AgreementEngine", "real": real}, [])


def test_build_part_of_a_package_that_is_no_plugin_says_how_to_make_it_one() -> None:
    with pytest.raises(ConfigError, match=r"plugins=\[json\]"):
        build_part("order", {"_target_": "json.decoder.JSONDecoder"}, [])


def test_build_root_keeps_the_groups_as_they_are() -> None:
    root = build_root(ROOT | {"order": SESSIONS})
    assert root.order == SESSIONS
    assert root.plugins == []


def test_old_name_of_force_resume_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    settings = build_settings({"objective": ["hit_rate/ideal"], "sweep": {"take_over": True}})
    assert settings.sweep.force_resume
    assert "sweep.take_over is deprecated: use sweep.force_resume" in caplog.text
    caplog.clear()
    for unset in (None, False):  # what conf/config.yaml and the config.yaml of earlier runs say
        settings = build_settings({"objective": ["hit_rate/ideal"], "sweep": {"take_over": unset}})
        assert not settings.sweep.force_resume
    assert not caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objective": []}, "objective: "),
        ({"objective": "hit_rate/ideal"}, "objective: "),
        ({"seeds": 1}, "seeds: there is no such setting"),
        ({"order": None}, "order: "),
        ({"metrics": {"mine": 3}}, r"metrics\.mine: "),
    ],
)
def test_build_root_of_a_wrong_key_names_it(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_root(ROOT | change)


def test_build_metrics_of_something_else_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r"metrics\.mine: 'json\.dumps' is not a tuple"):
        build_metrics({"mine": "json.dumps"}, ["json"])


def test_build_metrics_defined_twice_names_the_metric() -> None:
    with pytest.raises(ConfigError, match="hit_rate/first_prefill is defined twice"):
        build_metrics({"a": "cachelab.metrics.hit_rate.METRICS", "b": "cachelab.metrics.hit_rate.METRICS"})
