"""Why prompts leave the prefixes that earlier requests left in the cache, and what each fix gives."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
