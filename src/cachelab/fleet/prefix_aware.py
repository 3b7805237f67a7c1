"""The replica that has cached the most of the prompt."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.fleet.router import Choose, fewest_missing
from cachelab.strict_config import STRICT

LoadWeight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


@dataclass(frozen=True, config=STRICT)
class PrefixAware:
    """Chooses the replica with the most cached tokens minus `load_weight` x tokens in flight.

    The cached tokens are exact: what the replica itself would find. Of several replicas, the least loaded one
    (`router.load`).
    """

    load_weight: LoadWeight = 1.0

    def begin(self) -> Choose:
        return lambda request, view: fewest_missing(view, view.cached_tokens(), self.load_weight)
