"""Passwords: masked by shape, kept by the process, found in the text of others in each form."""

import json
import logging
import os
import subprocess
import sys
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from cachelab.error_format import format_error
from cachelab.errors import ConfigError
from cachelab.secret import VARIABLE, SecretFormatter, hide, hide_in_config, masked, revealed, without_secrets


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "[]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:s3/c@r%40et@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:12/3@host/db", "postgresql://me:***@host/db"),
        ("http://:t0ken@host", "http://:***@host"),
        ("uri: http://a:b@c\nother: http://d:e@f", "uri: http://a:***@c\nother: http://d:***@f"),
        ('{"uri": "http://a:b@c", "mail": "x@y"}', '{"uri": "http://a:***@c", "mail": "x@y"}'),
        ("http://host/?token=abc&n=1", "http://host/?token=***&n=1"),
        ("mysql://host/db?ssl_Password=a%20b;user=me", "mysql://host/db?ssl_Password=***;user=me"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("postgresql://USER@DATABASE/mlflow", "postgresql://USER@DATABASE/mlflow"),
        ("http://me:${oc.env:PW}@host", "http://me:${oc.env:PW}@host"),
        ("hf://datasets/a/b@main/c.json", "hf://datasets/a/b@main/c.json"),
    ],
)
def test_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


def test_masked_of_a_stores_address_takes_no_chance() -> None:
    assert masked("http://me:12/3@host", is_address=True) == "http://me:***@host"


@pytest.mark.parametrize(
    "argument",
    [
        "tracking.uri=postgresql://me:s3/c@r%40et@host/db",
        "+tracking.uri='postgresql://me:s3/c@r%40et@host/db'",
        '++tracking.uri="postgresql://me:s3/c@r%40et@host/db"',
        "hydra.sweeper.storage=postgresql://me:s3/c@r%40et@host/db",
    ],
)
def test_hide_keeps_what_revealed_gives_back(argument: str) -> None:
    (hidden,) = hide([argument])
    assert hidden == f"{argument.partition('=')[0]}='postgresql://me:***@host/db'"
    assert revealed("postgresql://me:***@host/db") == "postgresql://me:s3/c@r%40et@host/db"
    assert hide([hidden]) == [hidden]


def test_hide_leaves_other_arguments_alone() -> None:
    arguments = ["--multirun", "order=a,b", "tracking.uri=sqlite:///a.db", "x='a b'", "dataset.path=http://h:1/a@b"]
    assert hide(arguments) == arguments


@pytest.mark.parametrize("value", ["http://a:s3cret@h,http://b:other@h", "{uri: 'http://a:s3cret@h'}"])
def test_hide_refuses_a_password_inside_of_other_values(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^tracking\.uri: .*whole value") as caught:
        hide([f"tracking.uri={value}"])
    assert "s3cret" not in str(caught.value)


def test_hide_of_what_hydra_cannot_read_keeps_the_password_out_of_its_complaint() -> None:
    argument = "tracking.uri=http://me:s3#cret,(@h"
    assert hide([argument]) == [argument]
    assert "s3#cret" not in format_error(ValueError(f"cannot read s3#cret,( in {argument}"))


def test_revealed_finds_the_environments_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cret@h")
    assert revealed("http://me:***@h") == "http://me:s3cret@h"
    assert revealed("http://you:***@h") == "http://you:***@h"


def test_hide_in_config_masks_in_place_and_says_how_a_job_does() -> None:
    config = OmegaConf.create(
        {
            "tracking": {"uri": "http://me:s3cret@h", "tags": {"n": 1}},
            "store": "${tracking.uri}",
            "list": ["http://a:other@h"],
            "absent": None,
            "needed": "???",
        }
    )
    OmegaConf.set_readonly(config, True)
    assert hide_in_config(config) == ["tracking.uri='http://me:***@h'"]
    text = OmegaConf.to_yaml(config)
    assert "s3cret" not in text
    assert "other" not in text
    assert config.store == "http://me:***@h"
    assert revealed("http://me:***@h") == "http://me:s3cret@h"


# What a word of an address may hold, once the shell and Hydra have had their quotes.
UNQUOTED = st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_characters="'\"\\$\xa0\x85")


@given(st.text(UNQUOTED, min_size=3))
def test_no_form_of_a_password_gets_through(password: str) -> None:
    for raw in (password, quote(password, safe="")):
        address = f"http://me:{raw}@host:5000"
        assert hide([f"tracking.uri='{address}'"]) == ["tracking.uri='http://me:***@host:5000'"]
        assert revealed("http://me:***@host:5000") == address
        for form in (password, quote(password), quote(password, safe="")):
            shown = without_secrets(f"<{form}> is wrong at http://me:{form}@host")
            assert shown.startswith("<***>")
            assert f":{form}@" not in shown.replace(":***@", "")


def test_log_lines_and_tracebacks_hold_no_password() -> None:
    hide(["tracking.uri=http://me:s3cret@h"])
    formatter = SecretFormatter("%(levelname)s %(message)s")
    try:
        raise ValueError("cannot log in as me with s3cret")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "at %s", ("http://me:s3cret@h",), None)
        record.exc_info = (ValueError, error, error.__traceback__)
    line = formatter.format(record)
    assert line.startswith("ERROR at http://me:***@h\nTraceback")
    assert "cannot log in as me with ***" in line
    assert "s3cret" not in line.replace('"cannot log in as me with s3cret"', "")  # the source line of this test


def test_hidden_addresses_reach_worker_processes() -> None:
    hide(["tracking.uri=http://me:s3cret@h"])
    code = "from cachelab.secret import revealed; print(revealed('http://me:***@h'))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "http://me:s3cret@h"
    assert json.loads(os.environ[VARIABLE]) == ["http://me:s3cret@h"]
