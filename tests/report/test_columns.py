"""docs/artifacts.md has the tables of the code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/artifacts.md"


def test_document_has_the_columns_of_the_code(tmp_path: Path) -> None:
    made = tmp_path / "artifacts.md"
    subprocess.run([sys.executable, ROOT / "tools/make_artifacts_doc.py", made], check=True)
    assert made.read_text("utf-8") == DOCUMENT.read_text("utf-8"), "run python tools/make_artifacts_doc.py"
