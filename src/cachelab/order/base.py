"""What every order gives."""

from collections.abc import Sequence
from typing import Protocol

from cachelab.request import Request, Schedule


class Order(Protocol):
    """Arranges requests in stages of lanes; a pure function of its input.

    No order lets turn k + 1 of a conversation start before turn k has finished.
    """

    def arrange(self, requests: Sequence[Request]) -> Schedule: ...
