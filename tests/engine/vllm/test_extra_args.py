"""What engine.args may not hold."""

import pytest

from cachelab.engine.sim import SimEngine
from cachelab.engine.sim_core import engine_args
from cachelab.engine.vllm.backends import CpuEngine
from cachelab.engine.vllm.extra_args import NOT_SIMULATED, SETTINGS, check_extra_args
from cachelab.errors import ConfigError


@pytest.mark.parametrize(("field", "setting"), SETTINGS.items())
def test_sim_names_the_setting_that_counts(field: str, setting: str) -> None:
    # an override behind cachelab's back would change the headline silently: its counting goes by the setting
    with pytest.raises(ConfigError, match=rf"engine\.args\.{field}: set {setting} instead"):
        SimEngine(args={field: 1})


@pytest.mark.parametrize("field", NOT_SIMULATED)
def test_sim_says_what_it_has_not(field: str) -> None:
    with pytest.raises(ConfigError, match="no model and no workers"):
        SimEngine(args={field: 1})


@pytest.mark.parametrize("field", ["model", "dtype", "max_num_seqs", "async_scheduling"])
def test_cpu_refuses_what_it_sets_itself(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"engine\.args\.{field}"):
        CpuEngine(args={field: 1})


def test_fields_are_vllms_own() -> None:
    from vllm.engine.arg_utils import EngineArgs

    from cachelab.engine.vllm.extra_args import DRIVEN, OF_A_MODEL

    assert {*SETTINGS, *OF_A_MODEL, *DRIVEN, *NOT_SIMULATED} <= set(EngineArgs.__dataclass_fields__)


def test_other_fields_pass() -> None:
    check_extra_args({"scheduling_policy": "priority"}, SETTINGS, NOT_SIMULATED)
    assert engine_args(SimEngine(args={"scheduling_policy": "priority"}))["scheduling_policy"] == "priority"
