"""Runs in an MLflow store. Importing a name other than MlflowTracking imports MLflow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
