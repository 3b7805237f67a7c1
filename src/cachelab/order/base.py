"""The protocol of orders."""

from collections.abc import Sequence
from typing import Protocol

from cachelab.request import Request, Schedule


class Order(Protocol):
    """Arranges requests in stages of lanes. The result depends only on the requests.

    In every order a request starts after the request that it `follows` has ended.
    """

    def arrange(self, requests: Sequence[Request]) -> Schedule: ...
