from cachelab.nearest import did_you_mean


def test_nearest_name_is_put_into_its_form() -> None:
    assert did_you_mean("num_blcks", ["block_size", "num_blocks"], "engine.{}") == ": did you mean engine.num_blocks?"


def test_no_name_is_near() -> None:
    assert did_you_mean("zzz", ["block_size", "num_blocks"]) == ""
    assert did_you_mean("zzz", []) == ""
