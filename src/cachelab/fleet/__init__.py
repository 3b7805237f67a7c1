"""Fleets run a schedule on one engine or on several replicas of it behind a router."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
