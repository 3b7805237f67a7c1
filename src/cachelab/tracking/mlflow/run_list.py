"""The columns of MLflow's list of runs: a view that is stored with the experiment, and the link that opens it."""

import json

LARGEST_LOSS = "cachelab.largest_loss"
"""Tag of a run: the largest loss and its share of the prompt tokens, as text."""

_SHARE_KEY = "cachelab"
VIEW_TAG = f"mlflow.sharedViewState.{_SHARE_KEY}"
"""Tag of an experiment: the state of its page that the link with this share key opens."""

_SELECTED = {
    "metrics.`hit_rate/first_prefill`": 160,
    "metrics.`hit_rate/ideal`": 120,
    "metrics.`requests/completed`": 165,
    f"tags.`{LARGEST_LOSS}`": 200,
}
"""Columns that are shown next to those that the list always has -> their width in pixels."""

_WIDTHS = {"attributes.`Run Name`": 260, **_SELECTED}
VIEW = json.dumps({"selectedColumns": list(_SELECTED), "columnOrder": list(_WIDTHS), "columnWidths": _WIDTHS})
"""The value of VIEW_TAG."""


def run_list(experiment_id: str) -> str:
    """The path in MLflow's pages of the list of runs with these columns."""
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={_SHARE_KEY}"
