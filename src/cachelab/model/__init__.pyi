from .kv_model import KvModel
from .source import check_folder, find_model

__all__ = [
    "KvModel",
    "check_folder",
    "find_model",
]
