"""What every order gives."""

from collections.abc import Sequence
from typing import Protocol

from cachelab.request import Request, Schedule


class Order(Protocol):
    """Arranges requests in stages of lanes; a pure function of its input.

    No order lets a request start before the one that it `follows` has ended: no turn of a chat overtakes another.
    """

    def arrange(self, requests: Sequence[Request]) -> Schedule: ...
