"""The old place of these metrics, which the config.yaml of earlier runs names."""

from cachelab.metrics.reference_results import METRICS as METRICS
