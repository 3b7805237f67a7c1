"""Policies: which blocks of a replayed prefix cache stay, and which leave first."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
