"""The old path of KvModel. A config.yaml of an earlier run may name it."""

from cachelab.model.kv_model import KvModel as KvModel
