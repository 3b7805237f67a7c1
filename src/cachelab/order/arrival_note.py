"""The note on a log whose times an order does not use."""

from collections.abc import Sequence

from cachelab.order.base import Order
from cachelab.order.by_arrival import ByArrival
from cachelab.request import Request


def arrival_note(order: Order, requests: Sequence[Request]) -> str | None:
    """One line if the requests of several conversations have times of arrival and the order ignores them."""
    if isinstance(order, ByArrival) or len({request.timestamp_s for request in requests}) < 2:
        return None
    if len({request.conversation_id for request in requests}) < 2:
        return None
    return (
        "The log has times of arrival, which this order does not use; in the order of arrival the hit rate may be "
        "lower: set order=by_arrival."
    )
