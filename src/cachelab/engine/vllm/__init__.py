"""All modules that depend on vLLM's interfaces: read them again when vLLM's minor version changes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
