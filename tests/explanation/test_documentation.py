"""docs/explain.md against the classes."""

from pathlib import Path

from cachelab.explanation import CLASSES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/explain.md"


def test_document_has_each_class_with_its_advice() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for found in CLASSES.values():
        assert not found.advice or f"| {found.title} | {found.advice} |\n" in text
