"""The old path of these metrics. A config.yaml of an earlier run may name it."""

from cachelab.metrics.reference_results import METRICS as METRICS
