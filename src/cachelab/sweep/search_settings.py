"""The settings of a search (`hydra.sweeper` with `hydra/sweeper=optuna`), checked before the study is opened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.error_format import format_finding
from cachelab.errors import ConfigError
from cachelab.sqlite_address import database_file
from cachelab.strict_config import STRICT, Text

AUTO = "auto"
"""The setting `storage` of a study whose database is next to the tracking store's."""

_FILE = "optuna.db"


def next_to(store: str | None) -> str:
    """The address of a study's database: next to the SQLite file of this tracking store, else in the working folder."""
    path = None if store is None else database_file(store)
    folder = None if path is None or path.parent == Path.cwd() else path.parent
    return f"sqlite:///{_FILE if folder is None else folder / _FILE}"


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
