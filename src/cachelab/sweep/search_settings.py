"""The settings of a search (`hydra.sweeper` with `hydra/sweeper=optuna`), checked before the study is opened."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.error_format import format_finding
from cachelab.errors import ConfigError
from cachelab.strict_config import STRICT, Text


@dataclass(frozen=True, config=STRICT)
class SearchSettings:
    """See conf/hydra/sweeper/optuna.yaml; `seed` is the sampler's."""

    direction: Annotated[list[Literal["maximize", "minimize"]], Field(min_length=1)]
    storage: Text | None
    study_name: Text | None
    n_trials: Annotated[int, Field(gt=0, le=1_000_000)]
    n_jobs: Annotated[int, Field(gt=0, le=4096)] | None
    max_failure_rate: Annotated[float, Field(ge=0, le=1)]
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] | None


def check_search(settings: Mapping[str, Any]) -> SearchSettings:
    """The checked settings; a single direction need not be a list. Raises ConfigError that names the key."""
    from pydantic import ValidationError

    direction = settings["direction"]
    try:
        return SearchSettings(**{**settings, "direction": direction if isinstance(direction, list) else [direction]})
    except ValidationError as error:
        place = "hydra.sweeper.sampler" if error.errors()[0]["loc"][:1] == ("seed",) else "hydra.sweeper"
        raise ConfigError(format_finding(error, place)) from error
