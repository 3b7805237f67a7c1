"""The refusal of data that no job of a sweep can use, before the first job starts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

_DECIDE = ("experiment", "plugins", "order", "order.start")
"""Settings that decide whether a job needs times; `dataset` and the settings below it decide whether it has them."""


def refuse_untimed_jobs(config: "DictConfig", swept: Sequence[str]) -> None:
    """Raises ConfigError if the jobs share a dataset without times and an order that needs them.

    Only the jobs of Hydra's basic launcher are checked: they run in this process and use the dataset that is read here.
    Raises DatasetError if the dataset cannot be read. `swept`: the keys that vary.
    """
    from omegaconf import OmegaConf

    in_process = str(config.hydra.launcher.get("_target_", "")).endswith(".BasicLauncher")
    is_timed = str(config.order.get("_target_", "")).endswith(".Timed")
    varied = any(key in _DECIDE or key.partition(".")[0] in ("dataset", "explain") for key in swept)
    if not in_process or not is_timed or varied or "explain" in config:  # explain.by changes what is read
        return
    from cachelab.build import build_part
    from cachelab.dataset.cached_dataset import CachedDataset
    from cachelab.dataset.source_paths import refuse_missing_source
    from cachelab.order.recorded_times import needs_times, refuse_untimed

    groups: dict[str, Any] = {
        name: OmegaConf.to_container(config[name], resolve=True, throw_on_missing=True) for name in ("order", "dataset")
    }
    order, dataset = (build_part(name, group, list(config.plugins)) for name, group in groups.items())
    if needs_times(order):
        refuse_missing_source(dataset)
        refuse_untimed(order, CachedDataset(dataset).load())
