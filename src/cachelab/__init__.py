"""How much of a prompt's KV cache vLLM can reuse, and why."""

__version__ = "0.1.0"
