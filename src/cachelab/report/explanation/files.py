"""Writes the report of an explanation into a folder."""

from pathlib import Path

from cachelab.explanation import Explanation
from cachelab.report.explanation.html import explanation_html
from cachelab.report.explanation.markdown import explanation_markdown


def write_report(folder: Path, explanation: Explanation, title: str) -> None:
    """Write explanation.md and explanation.html. Raises OSError if a file cannot be written."""
    (folder / "explanation.md").write_text(explanation_markdown(explanation, title), encoding="utf-8")
    (folder / "explanation.html").write_text(explanation_html(explanation, title), encoding="utf-8")
