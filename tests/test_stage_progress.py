"""What stages report while a listener is there."""

from pathlib import Path

from cachelab.dataset.source_bytes import READING, unpacked
from cachelab.stage_progress import listening, report


def test_report_without_a_listener_is_lost() -> None:
    report("a", 1, 2)


def test_listener_hears_only_inside_its_context() -> None:
    heard: list[tuple[str, int, int | None]] = []
    with listening(lambda *what: heard.append(what)):
        report("a", 1, None)
    report("b", 2, 3)
    assert heard == [("a", 1, None)]


def test_reading_reports_stored_bytes(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"x" * 3000)
    heard: list[tuple[str, int, int | None]] = []
    with listening(lambda *what: heard.append(what)), file.open("rb") as raw:
        assert b"".join(unpacked(raw, "data", 10_000)) == b"x" * 3000
    assert heard == [(READING, 3000, 3000)]
