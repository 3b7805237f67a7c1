from pathlib import Path

import pytest

from cachelab.job_folder import kept_files, left_by_refused, named_folder, remove_if_unused


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "outputs" / "today" / "now"
    (made / ".hydra").mkdir(parents=True)
    (made / "cachelab.log").write_text("")
    return made


def test_folder_of_a_refused_command_is_removed_with_its_empty_parents(folder: Path) -> None:
    remove_if_unused(folder)
    assert list(Path.cwd().iterdir()) == []


def test_parents_with_other_files_stay(folder: Path) -> None:
    other = folder.parent / "before"
    other.mkdir()
    remove_if_unused(folder)
    assert not folder.exists()
    assert other.exists()


def test_folder_with_results_stays(folder: Path) -> None:
    (folder / "result.json").write_text("{}")
    remove_if_unused(folder)
    assert folder.exists()


def test_folder_outside_the_working_directory_stays(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    remove_if_unused(folder)
    assert folder.exists()


def test_kept_files_are_named(folder: Path) -> None:
    assert kept_files(folder) == f"the run had not begun; its configuration and log are in {folder}"
    (folder / "result.json").write_text('{"run_id": null}')
    assert kept_files(folder) == f"the run is recorded as far as it got; its configuration and log are in {folder}"
    (folder / "result.json").write_text('{"run_id": "abc"}')
    assert kept_files(folder) == f"the run is tracked as far as it got; its configuration and log are in {folder}"
    (folder / "artifacts").mkdir()
    assert "its results, configuration and log are in" in kept_files(folder)


def test_folder_has_the_name_of_its_run() -> None:
    assert named_folder("outputs/now", "multi_turn order=by_turn", []) == "outputs/now_multi_turn-order-by_turn"
    assert named_folder("outputs/now", "a" * 99, []) == f"outputs/now_{'a' * 60}"
    assert named_folder("out", "multi_turn", ["hydra.run.dir=out"]) == "out"


def test_refused_after_it_began_says_what_it_left(folder: Path) -> None:
    assert left_by_refused(folder) == ""
    (folder / "result.json").write_text("{}")
    assert left_by_refused(folder) == f"; its record and its log are in {folder}"
