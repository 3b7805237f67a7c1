"""The exact prefix cache without vLLM: compiled loops over flat arrays."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
