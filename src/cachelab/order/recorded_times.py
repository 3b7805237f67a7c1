"""The refusal of data without times, before they are tokenized."""

from cachelab.dataset.base import LoadedDataset
from cachelab.errors import ConfigError
from cachelab.order.base import Order
from cachelab.order.timed import Timed


def needs_times(order: Order) -> bool:
    """Whether the order starts each conversation at its recorded time."""
    return isinstance(order, Timed) and order.start == "trace"


def refuse_untimed(order: Order, dataset: LoadedDataset) -> None:
    """Raises ConfigError if the order needs recorded times and no turn of the dataset has one."""
    if not dataset.conversations or not needs_times(order):
        return
    if any(turn.timestamp_s is not None for conversation in dataset.conversations for turn in conversation.turns):
        return  # the order refuses the conversations that lack a time, once the filter has chosen its conversations
    raise ConfigError(
        "order.start: trace needs the time of each conversation's first request, and none of the "
        f"{len(dataset.conversations):,} conversations of {dataset.source} has one: set order.start=poisson or uniform"
    )
