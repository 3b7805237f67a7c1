"""Measures how much of your prompts vLLM's prefix cache can reuse, and finds out what limits it.

    import cachelab

    result = cachelab.run("experiment=multi_turn", "engine=replay")
    result.metrics["hit_rate/first_prefill"]

`run` runs one job with the overrides of the command line. `compare` compares two finished runs. `explain` says why the
prefixes of chat requests break.
"""

import lazy_loader

__version__ = "0.2.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
