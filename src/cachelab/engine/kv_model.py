"""The old place of KvModel, which the config.yaml of earlier runs names."""

from cachelab.model.kv_model import KvModel as KvModel
