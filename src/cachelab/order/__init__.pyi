from .all_at_once import AllAtOnce
from .base import Order
from .by_arrival import ByArrival
from .by_conversation import ByConversation
from .by_turn import ByTurn
from .sessions import Sessions
from .think_time import ThinkTime
from .timed import Timed

__all__ = [
    "AllAtOnce",
    "ByArrival",
    "ByConversation",
    "ByTurn",
    "Order",
    "Sessions",
    "ThinkTime",
    "Timed",
]
