"""Groups requests that follow one another."""

from collections.abc import Sequence

from cachelab.request import Lane, Request


def chains(requests: Sequence[Request]) -> list[Lane]:
    """The requests that follow one another, in the order of turns; chains in the order of their first requests."""
    found: dict[str, list[Request]] = {}
    chain_of: dict[str, str] = {}
    for request in sorted(requests, key=lambda request: request.turn_index):
        chain_of[request.id] = chain_of.get(request.follows or "", request.id)
        found.setdefault(chain_of[request.id], []).append(request)
    return [tuple(found[request.id]) for request in requests if request.id in found]
