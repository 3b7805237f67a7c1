"""The metrics of one run in an MLflow store; imports MLflow, so it is imported only when a run starts."""

import time
from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.entities import Metric

from cachelab.metrics.base import Numbers
from cachelab.tracking.mlflow.entries import batches, set_tags, stored_name
from cachelab.tracking.mlflow.zero_counts import ZERO_COUNTS, zero_counts

_METRICS_A_BATCH = 1000  # MLflow's limit


class LoggedMetrics:
    """What the store holds of a run's metrics."""

    def __init__(self, client: MlflowClient, run_id: str, *, begun: bool) -> None:
        """`begun`: an earlier process may have logged numbers to the same run."""
        self._client = client
        self._id = run_id
        self._begun = begun
        self._logged: dict[str, float] = {}
        self._points: dict[str, set[tuple[int, float]]] = {}
        self._now_ms = int(time.time() * 1000)  # the same in each retry, so that the store ignores a repeated point

    def log(self, numbers: Numbers) -> None:
        """Log the numbers that the store does not hold yet; counts of 0 as one tag (zero_counts.py)."""
        values = {stored_name(key): float(value) for key, value in numbers.values.items()}
        series = {stored_name(key): steps for key, steps in numbers.series.items()}
        if self._begun:
            self._read_logged(series)
        zero = zero_counts({key: value for key, value in values.items() if key not in self._logged})
        new = {key: value for key, value in values.items() if self._logged.get(key) != value and key not in zero}
        metrics = [Metric(key, value, self._now_ms, 0) for key, value in new.items()]
        for key, steps in series.items():
            known = self._points.get(key, set())
            points = [(step, float(value)) for step, value in sorted(steps.items())]
            metrics += [Metric(key, value, self._now_ms, step) for step, value in points if (step, value) not in known]
        for batch in batches(metrics, _METRICS_A_BATCH):
            self._client.log_batch(self._id, metrics=batch)
        if zero or self._begun:
            set_tags(self._client, self._id, {ZERO_COUNTS: " ".join(zero)})
        self._logged |= new

    def _read_logged(self, series: Iterable[str]) -> None:
        """Read the numbers that an earlier process logged to this run."""
        held = self._client.get_run(self._id).data.metrics
        self._logged = {key: value for key, value in held.items() if key not in series}
        for key in held.keys() & set(series):
            history = self._client.get_metric_history(self._id, key)
            self._points[key] = {(point.step, point.value) for point in history}
