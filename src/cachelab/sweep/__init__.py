"""Sweeps and searches: many jobs, their parent run, their comparison."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
