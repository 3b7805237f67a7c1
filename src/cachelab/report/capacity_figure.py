"""Figures of the hit rate by cache size: of one run, and of several runs in one figure."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cachelab.metrics.base import Ratio
from cachelab.metrics.capacity import DEFINITIONS, capacity_table, gib, knee_blocks
from cachelab.metrics.hit_rate import first_prefill, first_prefill_tokens
from cachelab.metrics.ideal import ideal
from cachelab.metrics.observation import Observation
from cachelab.pipeline import Result
from cachelab.report.style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    blank_figure,
    legend_outside,
    log_ticks,
    short,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Table = Mapping[str, Sequence[Any]]

_WIDTH = 8.4
_LABELS = dict(zip(DEFINITIONS, ("of blocks", "of tokens", "mean of requests", "of tokens, last 50 %"), strict=True))


def capacity_figure(result: Result) -> "Figure | None":
    """The hit rates of LRU, Belady's optimum and an unlimited cache by cache size, with the measured points.

    They are block hit rates. If the model has layers of several kinds, they are shares of the prompt tokens, since its
    hits have another unit; the curves are those of its full-attention layers alone.
    """
    observation = result.observation
    table = capacity_table(observation)
    plain = observation.plain_accesses is observation.accesses
    ceiling = ideal(observation).value if plain else _plain_ideal_tokens(observation)
    if len(table["blocks"]) < 2 or not ceiling:
        return None
    figure = blank_figure(6.2, _WIDTH)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    rate, alone = ("block", "") if plain else ("token", ", full attention alone")
    measured = _measured(result, first_prefill if plain else first_prefill_tokens)
    largest = max([table["blocks"][-1], *(size for _, _, points in measured for size, _ in points)])
    blocks = np.asarray([*table["blocks"], largest])  # beyond the table the rates stay as they are
    smallest = blocks[0]
    upper.axhline(100 * ceiling, color=GREY, linestyle="--", label=f"unlimited cache {100 * ceiling:.1f} %")
    upper.plot(blocks, _rates(table, f"opt_{rate}"), color=ORANGE, label="Belady's optimum" + alone)
    upper.plot(blocks, _rates(table, f"lru_{rate}"), color=BLUE, label="LRU" + alone)
    for label, marker, points in measured:
        upper.plot(*zip(*points, strict=True), marker, color=RED, label=label, zorder=3)
    if (knee := knee_blocks(observation)) is not None:
        upper.axvline(knee, color=GREEN, linewidth=1, linestyle=":", label=_size(observation, "knee", knee))
    upper.set_ylabel("block hit rate (%)" if plain else "cached prompt tokens (%)")
    rules = "vLLM's rules" if observation.counters.rules == "vllm" else "rules of block traces"
    upper.set_title(f"Hit rate by cache size, {len(observation.completed):,} requests, {rules}", fontsize=11)
    for definition, colour in zip(DEFINITIONS, (BLUE, SKY, GREEN, PURPLE), strict=True):
        lower.plot(blocks, _rates(table, f"lru_{definition}"), color=colour, label=_LABELS[definition])
    lower.set_ylabel("LRU hit rate (%)\nin four definitions")
    low, high = smallest / (2 if smallest > 1 else 1.3), largest * 1.3
    if smallest > 1:
        for axes in (upper, lower):
            axes.axvspan(low, smallest, color=GREY, alpha=0.15, linewidth=0)
        upper.plot([], [], color=GREY, alpha=0.3, linewidth=8, label="cannot hold the longest request")
    _axes_of_size(upper, lower, observation, low, high)
    for axes in (upper, lower):
        axes.set_ylim(0, 1.08 * axes.dataLim.y1)  # a flat curve would otherwise lie on the frame
        legend_outside(axes, 8)
    return figure


def overlaid(tables: Mapping[str, Table]) -> "Figure":
    """The LRU curves of several runs in one figure, by the runs' names."""
    figure = blank_figure(4.2, _WIDTH)
    axes = figure.subplots()
    for index, (name, table) in enumerate(tables.items()):
        rates = 100 * np.asarray(table["lru_block_rate"], dtype=np.float64)
        axes.plot(
            np.asarray(table["tokens"], np.float64),
            rates,
            color=COLOURS[index % len(COLOURS)],
            linestyle="-" if index < len(COLOURS) else "--",
            label=short(name),
        )
    axes.set_xscale("log")
    axes.set_ylim(0, 1.08 * axes.dataLim.y1 or 1)
    axes.set_xlabel("cache size (tokens), log scale")
    axes.set_ylabel("block hit rate, LRU (%)")
    axes.set_title("Hit rate by cache size", fontsize=11)
    legend_outside(axes, 8)
    log_ticks(axes, "x", *axes.get_xlim())
    axes.grid(alpha=0.25)
    return figure


def _rates(table: Table, name: str) -> list[float]:
    """A column of hit rates in percent, its last value twice."""
    rates = [100 * rate for rate in table[f"{name}_rate"]]
    return [*rates, rates[-1]]


def _plain_ideal_tokens(observation: Observation) -> float | None:
    accesses = observation.plain_accesses
    if not len(observation.completed):
        return None
    return float(accesses.cached_tokens(accesses.ideal_hit_blocks()).sum() / observation.prompt_tokens.sum())


def _measured(
    result: Result, rate_of: Callable[[Observation], Ratio]
) -> list[tuple[str, str, list[tuple[float, float]]]]:
    """Label, marker and points (blocks, percent) of the run itself and of its comparison runs, by size."""
    found = []
    own = rate_of(result.observation).value
    if own is not None:
        policy = result.observation.counters.policy
        label = f"this run{'' if policy == 'lru' else f' ({policy})'}, measured: {100 * own:.1f} %"
        found.append((label, "*", [(float(result.observation.plain_blocks), 100 * own)]))
    points = []
    for run in result.run.comparison_runs:
        observation = Observation.of(result.workload.requests, run)
        rate = rate_of(observation).value
        if rate is not None:
            points.append((float(observation.plain_blocks), 100 * rate))
    if points:
        found.append(("vLLM's own scheduler", "x", sorted(points)))
    return found


def _axes_of_size(upper: "Axes", lower: "Axes", observation: Observation, low: float, high: float) -> None:
    """Label the axes with sizes from `low` to `high` blocks, and with the same sizes in tokens and GiB."""
    size = observation.plain_accesses.block_size
    lower.set_xscale("log")
    lower.set_xlabel(f"cache size (blocks of {size} tokens), log scale")
    lower.set_xlim(low, high)
    log_ticks(lower, "x", low, high)
    lower.grid(alpha=0.25)
    above = upper.secondary_xaxis("top", functions=_scaled(size))
    above.set_xlabel("tokens", fontsize=8)
    above.tick_params(labelsize=8)
    log_ticks(above, "x", low * size, high * size)
    if (one := gib(observation, 1)) is not None:
        higher = upper.secondary_xaxis(1.22, functions=_scaled(one))
        higher.set_xlabel(f"GiB at {observation.counters.kv_bytes_per_token:,.10g} bytes per token", fontsize=8)
        higher.tick_params(labelsize=8)
        log_ticks(higher, "x", low * one, high * one)


def _scaled(factor: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    return lambda x: x * factor, lambda x: x / factor


def _size(observation: Observation, name: str, blocks: int) -> str:
    in_gib = gib(observation, blocks)
    return f"{name}: {blocks:,} blocks" + ("" if in_gib is None else f", {in_gib:,.3g} GiB")
