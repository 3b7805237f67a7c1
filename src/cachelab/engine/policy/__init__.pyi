from .arc import Arc
from .base import Kept, Policy, Replayed
from .fifo import Fifo
from .lfu import Lfu
from .lru import Lru
from .pinned import Pinned
from .s3_fifo import S3Fifo
from .ttl import Ttl

__all__ = ["Arc", "Fifo", "Kept", "Lfu", "Lru", "Pinned", "Policy", "Replayed", "S3Fifo", "Ttl"]
