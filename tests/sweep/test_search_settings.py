"""Where the study of a search is stored if no setting says so."""

from pathlib import Path

import pytest

from cachelab.sweep.search_settings import next_to


def test_study_is_next_to_the_tracking_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert next_to(f"sqlite:///{tmp_path}/elsewhere/mlflow.db") == f"sqlite:///{tmp_path}/elsewhere/optuna.db"
    for here in ("sqlite:///mlflow.db", f"sqlite:///{tmp_path}/mlflow.db", "http://127.0.0.1:5000", None):
        assert next_to(here) == "sqlite:///optuna.db"
