"""The tables of a run as LaTeX, for a paper."""

import re
from collections.abc import Sequence
from pathlib import Path

from cachelab.report.section import Section


def write_latex(folder: Path, sections: Sequence[Section]) -> None:
    """Write each table as `<title>.tex` into a new folder; a document needs the package booktabs.

    Raises OSError if a file cannot be written.
    """
    folder.mkdir()
    for section in sections:
        name = re.sub(r"[^a-z0-9]+", "_", section.title.lower()).strip("_")
        (folder / f"{name}.tex").write_text(latex(section), encoding="utf-8")


def latex(section: Section) -> str:
    """A tabular environment, by pandas, which escapes the special characters of LaTeX; title and note are comments."""
    import pandas as pd

    frame = pd.DataFrame([list(row) for row in section.rows], columns=list(section.columns))
    kinds = "".join("l" if index in section.left else "r" for index in range(len(section.columns)))
    text: str = frame.to_latex(index=False, escape=True, column_format=kinds)
    return f"% {section.title}\n{text}" + "".join(f"% {line}\n" for line in section.note.splitlines())
