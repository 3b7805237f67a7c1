from collections.abc import Sequence

from cachelab.pipeline import Result
from cachelab.report.reuse_sections import reuse, reuse_gaps
from cachelab.report.sections import sections
from cachelab.report.settings import settings, stages
from cachelab.report.turns_section import turns
from cachelab.tracking.description import RunDescription
from section_rows import rows


def test_turns_all_shown(result: Result) -> None:
    assert turns(result.observation, 3).rows == [
        ("0", "1", "0", "2", "0.00 %"),
        ("1", "1", "3", "4", "75.00 %"),
        ("2", "1", "4", "5", "80.00 %"),
    ]


def test_turns_beyond_the_limit_share_a_row(result: Result) -> None:
    # turns 1 and 2: 3 + 4 = 7 of 4 + 5 = 9 blocks
    assert turns(result.observation, 2).rows == [("0", "1", "0", "2", "0.00 %"), ("1..2", "2", "7", "9", "77.78 %")]


def test_reuse_of_the_run(result: Result) -> None:
    assert [row[1] for row in reuse(result.numbers.values).rows] == ["4", "3", "1.75", "2"]
    assert rows(reuse_gaps(result)) == {
        "in seconds (simulated)": ("2.0000",) * 5,
        "in requests": ("1",) * 5,
    }


def test_reuse_nothing_hit(all_rejected: Result) -> None:
    assert reuse(all_rejected.numbers.values).note == "No block was hit."
    assert reuse_gaps(all_rejected).note == "No block was hit twice."
    assert set(rows(reuse_gaps(all_rejected))["in requests"]) == {"-"}


def test_settings_leave_out_what_is_unset(description: RunDescription) -> None:
    shown = rows(settings(description))

    assert shown["order"] == ("sessions", "num_users=4")
    assert shown["engine"] == ("sim", "block_size=4")


def test_stages_count_zeros_only(result: Result) -> None:
    shown = stages(result.numbers.values)

    assert shown.rows == [("dataset/turns", "4")]
    assert shown.note == "1 more are 0 (metrics.json)."


def test_sections_without_rows_are_left_out(all_rejected: Result, description: RunDescription) -> None:
    titles: Sequence[str] = [section.title for section in sections(all_rejected, description, max_turns=9)]

    assert "Turns" not in titles
    assert "Requests" in titles
