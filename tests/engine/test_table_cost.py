"""The simulated clock from measured steps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.engine.sim import SimEngine
from cachelab.engine.step_cost import StepCost
from cachelab.engine.step_points import COLUMNS, StepPoints
from cachelab.engine.table_cost import TableCost
from cachelab.errors import ConfigError
from cachelab.order.by_conversation import ByConversation
from cachelab.order.sessions import Sessions
from workloads import random_requests

CORNERS = [(p, d, c) for p in (0, 100) for d in (0, 8) for c in (0, 1000)]


def linear_s(prefill: float, decodes: float, context: float) -> float:
    return 0.01 + 0.001 * prefill + 0.002 * decodes + 0.00001 * context


def table(path: Path, *rows: tuple[float, ...]) -> TableCost:
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return TableCost(str(path))


@pytest.fixture
def cost(tmp_path: Path) -> TableCost:
    return table(tmp_path / "steps.csv", *((*work, linear_s(*work)) for work in CORNERS))


@given(prefill=st.integers(0, 100), decodes=st.integers(0, 8), context=st.integers(0, 1000))
def test_table_of_a_linear_machine_is_linear(prefill: int, decodes: int, context: int) -> None:
    points = StepPoints.of([(*work, linear_s(*work)) for work in CORNERS])
    seconds, outside = _table(points).seconds(np.asarray([[prefill, decodes, context]], float))
    assert seconds[0] == pytest.approx(linear_s(prefill, decodes, context))
    assert not outside[0]


def _table(points: StepPoints) -> Any:
    from cachelab.engine.table_cost import StepTable

    return StepTable(points)


def test_table_interpolates_between_its_points(tmp_path: Path) -> None:
    # The middle of an edge: half of 0.5 s and half of 0.1 s. In the plane of decodes 0 and context 0, 25 is a quarter.
    rows = [(*work, 0.5 if work == (100, 0, 0) else 0.1) for work in CORNERS]
    clock = table(tmp_path / "steps.csv", *rows).clock()
    assert clock.step_ns(50, 0) == 300_000_000
    assert clock.step_ns(25, 0) == 200_000_000


def test_table_passes_grow_the_context(cost: TableCost) -> None:
    together = cost.clock().step_ns(7, 2, passes=3, context_tokens=40)
    one_by_one = [cost.clock().step_ns(p, 2, context_tokens=c) for p, c in ((7, 40), (0, 42), (0, 44))]
    assert together == sum(one_by_one)


def test_table_counts_the_steps_outside_of_its_points(cost: TableCost) -> None:
    clock = cost.clock()
    inside = clock.step_ns(50, 4, context_tokens=500)
    assert inside == round(linear_s(50, 4, 500) * 1e9)
    assert clock.notes == (f"Simulated seconds are interpolated between the measured steps of {cost.path}.",)
    outside = clock.step_ns(50, 4, context_tokens=50_000)  # the fit of a linear machine is the machine
    assert outside == pytest.approx(linear_s(50, 4, 50_000) * 1e9, rel=1e-6)
    assert "1 of 2 steps (50 %) lie outside of them and take the seconds of a linear fit" in clock.notes[0]
    assert len(cost.clock().notes[0]) < len(clock.notes[0])  # each run counts its own steps


def test_linear_fit_has_no_negative_weight(tmp_path: Path) -> None:
    falling = [(*work, 0.5 - 0.0004 * work[2]) for work in CORNERS]  # a longer context was faster
    clock = table(tmp_path / "steps.csv", *falling).clock()
    assert clock.step_ns(0, 0, context_tokens=10**6) > 0


@pytest.mark.parametrize("same", [0, 1, 2])
def test_table_leaves_out_a_number_that_never_varies(tmp_path: Path, same: int) -> None:
    rows = {tuple(8 if column == same else n for column, n in enumerate(work)) for work in CORNERS}
    clock = table(tmp_path / "steps.csv", *((*work, linear_s(*work)) for work in sorted(rows))).clock()
    work = [50, 4, 500]
    work[same] = 8
    prefill, decodes, context = work
    assert clock.step_ns(prefill, decodes, context_tokens=context) == pytest.approx(linear_s(*work) * 1e9)
    assert "outside" not in clock.notes[0]
    other = [9 if column == same else number for column, number in enumerate((50, 4, 500))]
    clock.step_ns(other[0], other[1], context_tokens=other[2])
    assert "1 of 2 steps" in clock.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"line 1 is not prefill_tokens,"),
        ("", r"line 1 is not prefill_tokens,"),
        (",".join(COLUMNS), r"has no points"),
        (",".join(COLUMNS) + "\n1,2,3\n", r"line 2 has 3 cells, not 4"),
        (",".join(COLUMNS) + "\n1,2,3,soon\n", r"line 2: seconds is 'soon', not a number"),
        (",".join(COLUMNS) + "\n1,2,3,0\n", r"line 2: seconds is 0, not a number from 1e-09 to 3600"),
        (",".join(COLUMNS) + "\n1,-2,3,1\n", r"line 2: decode_sequences is -2"),
        (",".join(COLUMNS) + "\n1,2,nan,1\n", r"line 2: context_tokens is nan"),
        (",".join(COLUMNS) + "\n0,0,0,1\n1,1,1,2\n2,2,2,3\n3,3,3,4\n4,4,4,5\n", r"its 5 points lie in a plane"),
    ],
)
def test_table_that_is_not_understood_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "steps.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        TableCost(str(path))
    with pytest.raises(ConfigError, match=r"none\.csv cannot be read \(No such file or directory: "):
        TableCost(str(tmp_path / "none.csv"))


def test_points_are_written_and_read_again(tmp_path: Path) -> None:
    points = StepPoints.of([(0, 8, 12_345, 0.0123), (100, 0, 0, 0.5)])
    points.write(tmp_path / "steps.csv")
    again = StepPoints.read(str(tmp_path / "steps.csv"))
    assert again.work.tolist() == points.work.tolist()
    assert again.seconds.tolist() == points.seconds.tolist()


def test_similar_steps_become_one_point_with_their_median() -> None:
    # 1.1^71.5 = 911 to 1.1^72.5 = 1,002 is one bin; 8 and 9 decodes are not similar; the median of 1, 2 and 9 s is 2 s
    steps = [(0, 8, 960, 1.0), (0, 8, 980, 9.0), (0, 8, 970, 2.0), (0, 9, 970, 5.0), (700, 8, 970, 7.0)]
    points = StepPoints.of(steps).averaged()
    rows = sorted(zip(points.work.tolist(), points.seconds.tolist(), strict=True))
    assert rows == [([0, 8, 970], 2.0), ([0, 9, 970], 5.0), ([700, 8, 970], 7.0)]


def test_every_fifth_step_is_held_out() -> None:
    fitted, held_out = StepPoints.of([(n, 0, 0, 1.0) for n in range(12)]).split()
    assert held_out.work[:, 0].tolist() == [4, 9]
    assert fitted.work[:, 0].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]


SIZES: dict[str, Any] = {"block_size": 8, "max_model_len": 256, "num_blocks": 60}


def test_sim_with_a_table_of_the_linear_model_has_its_times(tmp_path: Path) -> None:
    linear = StepCost()
    steps = [(p, d, c) for p in (0, 8192) for d in (0, 8) for c in (0, 10_000)]
    cost = table(tmp_path / "steps.csv", *((*work, linear.step_ns(work[0], work[1]) / 1e9) for work in steps))
    schedule = Sessions(num_users=3, think_s=0.1).arrange(random_requests(3, 6))
    by_table, by_line = (
        SimEngine(**SIZES, max_num_seqs=3, cost=one).run(schedule, lambda ended: None) for one in (cost, linear)
    )
    assert by_table.records == by_line.records
    assert by_table.notes[-1].endswith("steps.csv.")


def test_sim_jumps_take_the_time_of_their_steps(tmp_path: Path) -> None:
    curved = [(*work, linear_s(*work) + (work[0] * work[1] * work[2]) * 1e-9) for work in CORNERS]
    cost = table(tmp_path / "steps.csv", *curved, (50, 4, 500, 0.4))
    schedule = ByConversation().arrange(random_requests(5, 5))
    jump, token = (
        SimEngine(**SIZES, max_num_seqs=1, cost=cost, decode=decode).run(schedule, lambda ended: None)
        for decode in ("jump", "token")
    )
    assert jump.records == token.records
