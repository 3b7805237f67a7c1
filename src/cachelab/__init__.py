"""How much of your prompts vLLM's prefix cache can reuse, and what limits it.

    import cachelab

    result = cachelab.run("experiment=multi_turn", "engine=replay")
    result.metrics["hit_rate/first_prefill"]

`run` does what the command line does, with the same overrides; `compare` compares two runs that are done; `explain`
says why the prefixes of chat requests break.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
