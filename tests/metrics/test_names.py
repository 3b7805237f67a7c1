"""Names of metrics in the settings."""

import pytest

from cachelab.errors import ConfigError
from cachelab.metrics.names import check_names
from cachelab.metrics.requests import METRICS
from cachelab.metrics.turn import METRICS as OF_TURNS


def test_names_are_metrics_or_counts_of_the_stages() -> None:
    names = ["requests/completed", "filter/tokens_kept_share"]
    check_names("objective", names, METRICS)  # the dataset has not been read
    check_names("objective", names, METRICS, {"filter/tokens_kept_share": 1.0})
    with pytest.raises(ConfigError, match="objective: there is no metric filter/tokens_kept_share"):
        check_names("objective", names, METRICS, {})


def test_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^require: there is no metric requests/complete \(did you mean requests/completed\?\): see docs/met",
    ):
        check_names("require", ["requests/submitted", "requests/complete"], METRICS)
    with pytest.raises(ConfigError, match=r"^require: there is no metric speed: see"):
        check_names("require", ["speed"], METRICS)


def test_series_is_refused() -> None:
    with pytest.raises(ConfigError, match="objective: turn/hit_rate has one value per turn, not one per run"):
        check_names("objective", ["turn/hit_rate"], OF_TURNS)
