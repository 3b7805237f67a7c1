"""The protocol of routers, and what a router sees."""

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, runtime_checkable

from cachelab.request import Request


class View(Protocol):
    """The fleet when a request is routed. Lists hold one value per replica, by its number."""

    @property
    def now_ns(self) -> int:
        """The time, in nanoseconds of the fleet's clock."""
        ...

    @property
    def open(self) -> Sequence[int]:
        """The numbers of the replicas that accept requests, in ascending order. There is at least one."""
        ...

    @property
    def in_flight_tokens(self) -> Sequence[int]:
        """Prompt and reply tokens of the requests that were sent to each replica and have not ended."""
        ...

    @property
    def sent_tokens(self) -> Sequence[int]:
        """Prompt and reply tokens of all requests that were sent to each replica."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """The length of the request's prompt."""
        ...

    @property
    def block_size(self) -> int:
        """Tokens per block of the engines' caches."""
        ...

    def cached_tokens(self) -> Sequence[int]:
        """The prompt tokens that the request would find in each replica's cache now."""
        ...

    def prompt_blocks(self) -> Sequence[Hashable]:
        """A name for each block of the prompt that can be reused; equal only if all tokens up to its end are equal."""
        ...


Choose = Callable[[Request, View], int]
"""Returns the number of an open replica. It is called once per request, in the order in which the requests are sent."""


@runtime_checkable
class Router(Protocol):
    """Chooses a replica for each request."""

    def begin(self) -> Choose:
        """The function that routes the requests of one run. What a router remembers belongs to that function."""
        ...


def load(view: View, replica: int) -> tuple[int, int, int]:
    """The order of replicas by load: tokens in flight, then all tokens sent so far, then the number."""
    return view.in_flight_tokens[replica], view.sent_tokens[replica], replica


def fewest_missing(view: View, cached: Sequence[int], load_weight: float) -> int:
    """The open replica with the most cached tokens minus `load_weight` x tokens in flight; ties: the least loaded."""

    def missing(replica: int) -> tuple[float, int, int, int]:
        return load_weight * view.in_flight_tokens[replica] - cached[replica], *load(view, replica)

    return min(view.open, key=missing)
