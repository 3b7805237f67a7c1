"""A job's identity: what changes it, and what does not."""

import hashlib
from typing import Any

from cachelab.job_digest import job_digest
from cachelab.sweep.digest import sweep_digest

CONFIG: dict[str, Any] = {"engine": {"num_blocks": 257}, "order": {"_target_": "x"}, "tracking": {"uri": "a"}}
VERSIONS = {"cachelab": "1", "vllm": "0.32.0"}


def test_job_digest_is_stable_across_processes() -> None:
    written = (
        b'{"config": {"dataset": null, "engine": null, "filter": null, "metrics": null, "order": null, '
        b'"plugins": null, "tokenizer": null, "trace": null}, "dataset": "data", "versions": {"vllm": "0.32.0"}}'
    )
    assert job_digest({}, "data", {"vllm": "0.32.0"}) == hashlib.sha256(written).hexdigest()


def test_job_digest_follows_what_decides_the_numbers() -> None:
    one = job_digest(CONFIG, "data", VERSIONS)
    assert one != job_digest({**CONFIG, "engine": {"num_blocks": 258}}, "data", VERSIONS)
    assert one != job_digest(CONFIG, "other data", VERSIONS)
    assert one != job_digest(CONFIG, "data", {**VERSIONS, "vllm": "0.32.1"})


def test_job_digest_follows_a_price_and_an_explanation_that_are_given() -> None:
    one = job_digest(CONFIG, "data", VERSIONS)
    assert one == job_digest({**CONFIG, "price": None, "explain": None}, "data", VERSIONS)
    assert one != job_digest({**CONFIG, "price": {"fresh": 3}}, "data", VERSIONS)
    assert one != job_digest({**CONFIG, "explain": {"by": None}}, "data", VERSIONS)


def test_job_digest_ignores_where_a_run_is_kept() -> None:
    other = {**CONFIG, "tracking": {"uri": "b"}, "objective": ["x"], "cache_dir": "elsewhere"}
    assert job_digest(CONFIG, "data", VERSIONS) == job_digest(other, "data", VERSIONS)


def test_sweep_digest_ignores_more_trials_and_another_baseline() -> None:
    sweeper = {"_target_": "s", "params": {"a": "range(1,3)"}, "n_trials": 5, "direction": "maximize"}
    one = sweep_digest(CONFIG, ["order=a,b", "tracking.uri=x"], sweeper, VERSIONS)
    assert one == sweep_digest(CONFIG, ["order=a,b", "comparison.baseline=a"], {**sweeper, "n_trials": 9}, VERSIONS)
    assert one != sweep_digest(CONFIG, ["order=a,c"], sweeper, VERSIONS)
    assert one != sweep_digest(CONFIG, ["order=a,b"], {**sweeper, "direction": "minimize"}, VERSIONS)


def test_sweep_digest_ignores_the_bounds_that_its_jobs_must_meet() -> None:
    bound = "++require={hit_rate/first_prefill: '>= 0.5'}"
    assert sweep_digest(CONFIG, ["order=a,b"], {}, VERSIONS) == sweep_digest(CONFIG, ["order=a,b", bound], {}, VERSIONS)
