"""The figures of a run, drawn from inputs that are awkward to draw: no clipped text, no overlapping labels."""

import random
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from cachelab.dataset.base import LoadedDataset
from cachelab.engine.replay import ReplayEngine
from cachelab.metrics.base import Numbers
from cachelab.metrics.capacity import capacity_table
from cachelab.metrics.observation import Observation
from cachelab.metrics.sample import WeightedSample
from cachelab.pipeline import Result, Workload
from cachelab.report.capacity_figure import overlaid
from cachelab.report.figures import draw
from cachelab.report.reuse_figures import hits_per_block, reuse_gaps
from cachelab.report.style import save, short
from cachelab.report.ttft_figure import ttft_by_cached_tokens
from cachelab.request import Request
from figure_text import faults
from workloads import conversation, one_lane, request

LONG = "a conversation whose name is very, very, very long and differs only at its end: "
WITHOUT_DATA = {"flat": {"reuse_gaps"}, "zero": {"reuse_gaps", "hits_per_block", "capacity"}}


def chat(name: str, turns: int, message: int, *, shared: bool = False) -> list[Request]:
    """A chat of turns with messages of this many tokens; `shared`: its tokens are those of other shared chats."""
    first = 0 if shared else 100_000 * (1 + sum(map(ord, name)))
    starts = [first + 10_000 * turn for turn in range(turns)]
    return conversation(name, *[(range(s, s + message), range(s + 9_000, s + 9_024)) for s in starts])


def ran(requests: list[Request], num_blocks: int) -> Result:
    longest = max(len(one.prompt_ids) + len(one.reply_ids) for one in requests)
    engine = ReplayEngine(block_size=8, num_blocks=num_blocks, max_model_len=longest)
    run = engine.run(one_lane(requests), lambda ended: None)
    workload = Workload(LoadedDataset("sample", "", "", [], {}), (), requests, one_lane(requests), {})
    return Result(workload, run, Observation.of(requests, run), Numbers({}, {}))


@pytest.fixture(scope="module")
def awkward() -> Mapping[str, Result]:
    draws = random.Random(1)
    one_turn = [chat(f"{n}", 1, draws.randint(20, 2000), shared=n % 2 == 0) for n in range(30)]
    many_turns = [chat(f"{n}", 40 if n == 0 else draws.randint(1, 39), draws.randint(20, 80)) for n in range(12)]
    long_names = [chat(f"{LONG}{n}", 3, draws.randint(20, 7000)) for n in range(12)]
    return {
        "flat": ran([request("a", 0, range(40), [1]), request("b", 0, range(40), [1])], 4000),
        "one turn": ran(list(chain.from_iterable(one_turn)), 4000),
        "40 turns": ran(list(chain.from_iterable(many_turns)), 600),
        "zero": ran(list(chain.from_iterable(chat(f"{n}", 1, 30 + n) for n in range(8))), 100),
        "long names": ran(list(chain.from_iterable(long_names)), 5000),
    }


@pytest.mark.parametrize("name", ["flat", "one turn", "40 turns", "zero", "long names"])
def test_figures_can_be_read(awkward: Mapping[str, Result], name: str) -> None:
    figures = draw(awkward[name])

    without_data = {key for key, figure in figures.items() if figure is None}
    assert without_data == WITHOUT_DATA.get(name, set()) | {"hit_rate_by_minute"}  # each run lasts less than a minute
    assert {key: faults(figure) for key, figure in figures.items() if figure is not None and faults(figure)} == {}


def test_capacity_figure_of_a_flat_curve_shows_the_curve(awkward: Mapping[str, Result]) -> None:
    figure = draw(awkward["flat"])["capacity"]

    assert figure is not None
    upper, lower = figure.axes[:2]
    low, high = upper.get_xlim()
    (curve,) = [line for line in upper.lines if line.get_label() == "LRU"]
    sizes = np.asarray(curve.get_xdata(), np.float64)
    assert low < sizes.min() < 0.1 * sizes.max()
    assert sizes.max() < high
    assert np.asarray(curve.get_ydata()).max() < 0.95 * upper.get_ylim()[1]
    assert len(lower.get_xticks()) >= 3


def test_one_turn_has_one_tick(awkward: Mapping[str, Result]) -> None:
    figures = draw(awkward["one turn"])

    for name in ("losses", "hit_rate_by_turn"):
        figure = figures[name]
        assert figure is not None
        assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == ["0"]


@pytest.mark.parametrize("kept", [0.5, 3_000_000.0])
def test_histograms_can_be_read(kept: float) -> None:
    once = np.ones(3, np.int64)
    gaps = WeightedSample.of(np.asarray([10**5, 10**5 + 1, 70 * 10**5]), once).per(10**5 / kept)
    figure = reuse_gaps(gaps, WeightedSample.of(np.asarray([1, 2, 90_000]), once), "simulated")
    blocks = hits_per_block(np.asarray([1, 2, 2, 70_000]))

    assert figure is not None
    assert blocks is not None
    assert (faults(figure), faults(blocks)) == ([], [])


def test_overlay_of_long_names_can_be_read(awkward: Mapping[str, Result]) -> None:
    table = capacity_table(awkward["40 turns"].observation)

    assert faults(overlaid({f"{LONG}{number}": table for number in range(9)})) == []


def test_faults_finds_what_it_looks_for(awkward: Mapping[str, Result]) -> None:
    figure = draw(awkward["one turn"])["losses"]

    assert figure is not None
    figure.axes[0].set_xticks([0, 0.5, 1], ["a label", "another label", "a third label"])
    figure.text(0.99, 0.5, "a text that ends outside")
    found = faults(figure)
    assert sum(line.startswith("overlap: 'a label' and 'another label'") for line in found) == 1
    assert sum(line.startswith("clipped: 'a text that ends outside'") for line in found) == 1


def test_name_keeps_its_start_and_its_end() -> None:
    assert short("short") == "short"
    assert short("filter.max_prompt_tokens=200 order=by_turn", 20) == "filter.ma...=by_turn"
    assert len(short(LONG, 20)) <= 20


def test_svg_of_many_points_is_small_and_always_the_same(tmp_path: Path) -> None:
    draws = random.Random(2)
    columns = {key: [draws.randint(1, 9000) for _ in range(5_000)] for key in ("prompt_tokens", "cached_tokens")}
    columns |= {"host_cached_tokens": [0] * 5_000, "ttft_s": [draws.randint(1, 99) for _ in range(5_000)]}
    figure = ttft_by_cached_tokens({**columns, "outcome": ["completed"] * 5_000}, "simulated")

    assert figure is not None
    save(figure, tmp_path, "first")
    save(figure, tmp_path, "second")
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()
    assert (tmp_path / "first.svg").stat().st_size < 800_000  # 1 MB as shapes
    assert "cached prompt tokens at the first prefill" in (tmp_path / "first.svg").read_text()
    assert (tmp_path / "first.png").stat().st_size > 0
