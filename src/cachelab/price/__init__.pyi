from .base import Price
from .gpu_hours import GpuHours
from .per_token import PerToken
from .prompt_tokens import PromptTokens

__all__ = [
    "GpuHours",
    "PerToken",
    "Price",
    "PromptTokens",
]
