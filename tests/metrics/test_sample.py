import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.metrics.sample import WeightedSample

Values = st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 5)), min_size=1, max_size=20)


def test_sample_worked_by_hand() -> None:
    sample = WeightedSample.of(np.asarray([4, 1, 4]), np.asarray([1, 2, 1]))  # 1 1 4 4
    assert (sample.whole.tolist(), sample.counts.tolist(), len(sample)) == ([1, 4], [2, 2], 4)
    assert (sample.mean, sample.percentile(50), sample.per(2).mean) == (2.5, 2.5, 1.25)


@given(Values, st.sampled_from([1, 10**9]), st.floats(0, 100))
def test_sample_against_numpy(pairs: list[tuple[int, int]], unit: int, percent: float) -> None:
    values, counts = np.asarray(pairs, np.int64).T
    sample = WeightedSample.of(values, counts).per(unit)
    every = np.repeat(values, counts) if unit == 1 else np.repeat(values, counts) / unit
    assert len(sample) == len(every)
    assert sample.percentile(percent) == np.percentile(every, percent)
    assert sample.mean == pytest.approx(np.mean(every), rel=1e-14)
