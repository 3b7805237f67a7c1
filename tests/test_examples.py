"""The examples run as they are, on the bundled sample, and print what their numbers must be."""

import os
import runpy
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PRINTED = {
    "hit_rate.py": ("84.86%", "84.89%", "later turns that miss most:"),
    "cache_size.py": ("91.05%", "GiB of KV cache", "lru_block_rate"),
    "compare_orders.py": (
        "multi_turn order=by_turn is lower than multi_turn: -80.23 points",
        "multi_turn is higher than single_turn: +83.31 points",
    ),
}


def test_each_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")} == {*PRINTED, "chats.ipynb"}


@pytest.mark.slow
@pytest.mark.parametrize("script", PRINTED)
def test_script_prints_its_numbers(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    printed = capsys.readouterr().out
    for words in PRINTED[script]:
        assert words in printed


@pytest.mark.slow
def test_notebook_runs_and_shows_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(EXAMPLES.parent / "src"), *sys.path])))
    notebook = nbformat.read(EXAMPLES / "chats.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    noise = [output.text for output in outputs if output.output_type == "stream"]
    assert all("tqdm" in text for text in noise)  # it asks for ipywidgets
    data = [output.data for output in outputs if output.output_type != "stream"]
    assert sum("image/png" in shown for shown in data) == 3
    texts = "\n".join(shown["text/plain"] for shown in data)
    assert "'hit_rate/first_prefill': 0.8505" in texts
    assert "multi_turn is higher than single_turn artifacts=[requests]: +83.31 points" in texts


def test_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(EXAMPLES / "chats.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert not any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
