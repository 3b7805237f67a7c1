"""A config that somebody else wrote runs no code: every place where a string of it becomes an import."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from cachelab.build import build_metrics, build_part, build_root
from cachelab.errors import ConfigError, TokenizerError
from cachelab.trust import NAMES_CODE, refuse_untrusted_group, refuse_what_a_file_decides

EVIL = """
import pathlib
pathlib.Path(__file__).with_name("ran").touch()
METRICS = ()
class X:
    def __init__(self, *args, **kwargs): pass
"""


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a file when it is imported; gives the file's path."""
    (tmp_path / "evil.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    return tmp_path / "ran"


def test_evil_module_tells_that_it_ran(evil: Path) -> None:
    build_metrics({"mine": "evil.METRICS"}, ["evil"])
    assert evil.exists()


def test_metrics_of_a_package_that_is_not_a_plugin_are_not_imported(evil: Path) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.mine: evil is not a plugin: trust its code with plugins=\[evil\]"):
        build_metrics({"mine": "evil.METRICS"})
    assert not evil.exists()


SIM = {"_target_": "cachelab.engine.sim.SimEngine"}
COST = "cachelab.engine.step_cost.StepCost"


@pytest.mark.parametrize(
    "group",
    [
        {"_target_": "evil.X"},
        SIM | {"cost": {"_target_": "evil.X"}},
        SIM | {"args": {"compilation_config": {"_target_": "evil.X"}}},
        SIM | {"args": {"anything": [{"_target_": "evil.X"}]}},
        {"_target_": "cachelab.build.build_part", "name": "x", "group": {"_target_": "x"}, "plugins": ["evil"]},
        {"_target_": "cachelab.build.build_metrics", "groups": {"x": "evil.METRICS"}, "plugins": ["evil"]},
        {"_target_": "cachelab.engine.vllm.core.build_core", "args": {"worker_cls": "evil.X"}},
        {"_target_": "cachelab.cli.os.system", "command": "true"},
        {"_target_": "cachelab.job_context.Path"},
        {"_target_": "hydra.utils.get_class", "path": "evil.X"},
        {"_target_": ["evil.X"]},
        {"_target_": COST, "_args_": [1.0]},
        {"_target_": COST, "_partial_": True},
        SIM | {"cost": {"_target_": COST, "_execution_whitelist_": "evil.*"}},
        SIM | {"_recursive_": False},
    ],
    ids=str,
)
def test_target_that_is_no_part_is_not_imported(evil: Path, group: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^engine\.") as caught:
        build_part("engine", group, [])
    assert "\n" not in str(caught.value)
    assert not evil.exists()


CODE: dict[str, Any] = {
    "additional_config": {"platform": "evil.X"},
    "compilation_config": {"inductor_passes": {"post_grad": "evil.X"}},
    "ec_manager_config": {"encoder_cache_manager_cls": "evil.X"},
    "ec_transfer_config": {"ec_connector": "X", "ec_connector_module_path": "evil"},
    "io_processor_plugin": "evil",
    "log_config_file": "evil.json",
    "logging_config": {"handlers": {"a": {"class": "evil.X"}}},
    "logits_processors": ["evil:X"],
    "model_class_overrides": {"LlamaForCausalLM": "evil:X"},
    "reasoning_parser_plugin": "./evil.py",
    "spec_model": "evil.X",
    "speculative_config": {"method": "custom_class", "model": "evil.X"},
    "structured_outputs_config": {"reasoning_parser_plugin": "./evil.py"},
    "worker_cls": "evil.X",
    "worker_extension_cls": "evil.X",
}


@pytest.mark.parametrize("engine", ["sim.SimEngine", "vllm.CpuEngine", "vllm.CudaEngine"])
@pytest.mark.parametrize("field", CODE)
def test_engine_argument_that_names_code_is_refused(evil: Path, engine: str, field: str) -> None:
    group = {"_target_": f"cachelab.engine.{engine}", "args": {field: CODE[field]}}
    with pytest.raises(ConfigError, match=rf"^engine\.args\.{field}.*is not a plugin"):
        build_part("engine", group, [])
    with pytest.raises(ConfigError, match=rf"^engine\.real\.args\.{field}.*is not a plugin"):
        build_part("engine", {"_target_": "cachelab.engine.agreement.AgreementEngine", "real": group}, [])
    assert not evil.exists()


@pytest.mark.parametrize("field", ["scheduler_cls", "distributed_executor_backend", "kv_transfer_config"])
def test_engine_argument_that_cachelab_sets_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^engine\.args\.{field}: "):
        build_part("engine", SIM | {"args": {field: "evil.X"}}, ["evil"])


def test_every_field_that_names_code_is_tried_here() -> None:
    assert set(CODE) == set(NAMES_CODE)


def test_engine_argument_of_a_plugin_is_taken() -> None:
    group = SIM | {"args": {"worker_extension_cls": "json.decoder.JSONDecoder", "compilation_config": {"mode": "NONE"}}}
    assert build_part("engine", group, ["json"]).args["worker_extension_cls"] == "json.decoder.JSONDecoder"


def test_engine_argument_that_is_a_path_of_a_draft_model_is_no_code() -> None:
    args = {"speculative_config": {"method": "draft_model", "model": "some/model-0.5B", "num_speculative_tokens": 2}}
    group = {"_target_": "cachelab.engine.vllm.backends.CpuEngine", "args": args}
    assert refuse_untrusted_group("engine", group, []) == ["cachelab.engine.vllm.backends.CpuEngine"]


# Every field of EngineArgs of vLLM 0.32 whose name or type says that it may name code was read; a new minor has others.
READ_AND_HARMLESS = {
    "aggregate_engine_logging", "config_format", "default_mm_loras", "enable_logging_iteration_details",
    "hf_overrides", "kv_events_config", "load_format", "lora_target_modules",
    "model_loader_extra_config", "override_generation_config",
    "quantization_config", "reasoning_config", "reasoning_parser", "weight_transfer_config",
}  # fmt: skip


@pytest.mark.slow
def test_engine_arguments_of_the_installed_vllm_have_no_other_names_of_code() -> None:
    from vllm.engine.arg_utils import EngineArgs

    from cachelab.engine.vllm.extra_args import DRIVEN, OF_A_MODEL, SETTINGS

    suspicious = ("cls", "class", "plugin", "processors", "module", "logging", "log_config", "hook", "loader")
    found = {name for name in EngineArgs.__dataclass_fields__ if any(word in name for word in suspicious)}
    known = {*NAMES_CODE, *DRIVEN, *OF_A_MODEL, *SETTINGS, *READ_AND_HARMLESS, "max_lora_cls_labels"}
    assert found - known == set()
    assert set(NAMES_CODE) <= set(EngineArgs.__dataclass_fields__)


def hydra_node(**changes: Any) -> Any:
    plain = {
        "overrides": {"task": [], "hydra": []},
        "sweeper": {"params": None},
        "job": {"env_set": {}},
        "launcher": {},
    }
    return OmegaConf.create(plain | changes)


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("plugins", {"plugins": ["os"]}),
        ("tokenizer.trust_remote_code", {"tokenizer": {"trust_remote_code": True}}),
        ("engine.args.trust_remote_code", {"engine": {"args": {"trust_remote_code": True}}}),
        ("engine.real.args.trust_remote_code", {"engine": {"real": {"args": {"trust_remote_code": True}}}}),
    ],
)
def test_trust_is_given_on_the_command_line_only(key: str, config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: a config file may not decide which code runs"):
        refuse_what_a_file_decides(config, hydra_node())
    refuse_what_a_file_decides(config, hydra_node(overrides={"task": [f"+{key}=..."], "hydra": []}))
    varied = hydra_node(overrides={"task": [f"{key}=..."], "hydra": []}, sweeper={"params": {key: "[a],[b]"}})
    with pytest.raises(ConfigError, match=f"^{key}: "):
        refuse_what_a_file_decides({}, varied)


def test_environment_and_ray_workers_are_not_a_files_to_choose() -> None:
    with pytest.raises(ConfigError, match=r"hydra\.job\.env_set\.PATH"):
        refuse_what_a_file_decides({}, hydra_node(job={"env_set": {"PATH": "/evil"}}))
    said = {"task": [], "hydra": ["+hydra.job.env_set.PATH=/mine"]}
    refuse_what_a_file_decides({}, hydra_node(job={"env_set": {"PATH": "/mine"}}, overrides=said))
    ray = {"ray": {"init": {"runtime_env": {"worker_process_setup_hook": "evil.X"}}}}
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.ray"):
        refuse_what_a_file_decides({}, hydra_node(launcher=ray))


def test_plugin_that_is_not_there_is_refused() -> None:
    groups = ("dataset", "tokenizer", "filter", "trace", "order", "fleet", "engine", "tracking")
    root: dict[str, Any] = {group: {} for group in groups} | {"metrics": {}, "objective": ["a"]}
    assert build_root(root | {"plugins": ["json"]}).plugins == ["json"]
    with pytest.raises(ConfigError, match="plugins: there is no package nope"):
        build_root(root | {"plugins": ["nope"]})
    for wrong in (["../x"], ["a b"], [""], [3], ["json", "json"], "json"):
        with pytest.raises(ConfigError, match=r"^plugins"):
            build_root(root | {"plugins": wrong})


THEIRS: dict[str, dict[str, Any]] = {
    "plugins": {"plugins": ["evil"], "order": {"_target_": "evil.X"}},
    "metrics": {"metrics": {"mine": "evil.METRICS"}},
    "callback": {"hydra": {"callbacks": {"mine": {"_target_": "evil.X"}}}},
    "callback of cachelab": {"hydra": {"callbacks": {"mine": {
        "_target_": "cachelab.build.build_metrics", "groups": {"a": "evil.METRICS"}, "plugins": ["evil"],
    }}}},
    "logging class": {"hydra": {"job_logging": {"handlers": {"file": {"class": "evil.X"}}}}},
    "logging factory": {"hydra": {"job_logging": {"handlers": {"file": {"()": "evil.X"}}}}},
    "logging ext": {"hydra": {"hydra_logging": {"handlers": {"console": {"stream": "ext://evil.X"}}}}},
    "search path": {"hydra": {"searchpath": ["pkg://evil"]}},
    "sweeper": {"hydra": {"sweeper": {"_target_": "evil.X"}}},
    "launcher": {"hydra": {"launcher": {"_target_": "evil.X"}}},
    "environment": {"hydra": {"job": {"env_set": {"PATH": "."}}}},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["--run", "--multirun"])
@pytest.mark.parametrize("what", THEIRS)
def test_cli_with_somebody_elses_config_runs_no_code_of_theirs(
    tmp_path: Path, repository: Path, what: str, mode: str
) -> None:
    (tmp_path / "evil.py").write_text(EVIL)
    (tmp_path / "git").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "git").chmod(0o755)
    folder = tmp_path / "theirs" / "experiment"
    folder.mkdir(parents=True)
    (folder / "theirs.yaml").write_text("# @package _global_\n" + yaml.safe_dump(THEIRS[what]))
    done = subprocess.run(
        [
            sys.executable, "-m", "cachelab", mode, "--config-dir", "theirs", "experiment=theirs", "engine=replay",
            "tracking=none", "filter.max_conversations=2",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{repository / 'src'}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert not (tmp_path / "ran").exists()
    if mode == "--run" and what in ("sweeper", "launcher"):
        return  # a single run uses neither
    of_a_job = mode == "--multirun" and what == "metrics"  # which parts are built by each job
    assert done.returncode == (1 if of_a_job else 2), done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("cachelab: ")
    assert len(lines) == 1, done.stderr


@pytest.mark.slow
def test_tokenizer_that_brings_code_does_not_run_it(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from cachelab.tokenizer.huggingface import HuggingFace

    model = tmp_path / "model"
    model.mkdir()
    (model / "evil.py").write_text(EVIL)
    auto_map = '{"auto_map": {"AutoTokenizer": ["evil.X", null], "AutoConfig": "evil.X"}, "model_type": "evil"}'
    (model / "config.json").write_text(auto_map)
    (model / "tokenizer_config.json").write_text(auto_map)
    with pytest.raises(TokenizerError, match="holds no tokenizer that transformers can load"):
        _ = HuggingFace(str(model)).name
    assert not list(tmp_path.rglob("ran"))
