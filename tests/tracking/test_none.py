from pathlib import Path

import pytest

from cachelab.dataset.base import LoadedDataset
from cachelab.metrics.base import Numbers
from cachelab.tracking.description import RunDescription
from cachelab.tracking.none import NoTracking


def test_no_tracking_keeps_nothing_and_hides_no_error(description: RunDescription, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    run = NoTracking().start(description)
    run.log_dataset(LoadedDataset("d", "s", "0", [], {}))
    run.log_workload({"a": 1.0})
    run.log_result(Numbers({}, {}), tmp_path)
    with pytest.raises(ValueError, match="from inside"), run:
        raise ValueError("from inside")

    assert run.run_id is None
    assert dict(run.where_to_look) == {}
    assert set(tmp_path.rglob("*")) == before
