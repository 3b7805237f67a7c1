"""Writes the tables of docs/artifacts.md from the columns' descriptions: `python tools/make_artifacts_doc.py [FILE]`.

A table is the text from a line `<!-- columns: NAME -->` to the next line `<!-- end -->`, where NAME is a file of
`cachelab.report.columns.TABLES`. Without FILE, docs/artifacts.md is rewritten in place.
"""

import re
import sys
from pathlib import Path

from cachelab.report.columns import TABLES

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/artifacts.md"
TABLE = re.compile(r"<!-- columns: (\S+) -->\n.*?<!-- end -->", re.DOTALL)
HEAD = ("| column | type | unit | meaning |", "|---|---|---|---|")


def main() -> None:
    """Write the document."""
    text = with_tables(DOCUMENT.read_text(encoding="utf-8"))
    (Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT).write_text(text, encoding="utf-8")


def with_tables(text: str) -> str:
    """The document with new tables. Exits with one line if a file has no table."""
    shown = TABLE.findall(text)
    if sorted(shown) != sorted(TABLES):
        raise SystemExit(f"{DOCUMENT}: tables of {sorted(shown)}, but the files are {sorted(TABLES)}")

    def table(found: re.Match[str]) -> str:
        rows = [
            f"| `{name}` | {column.kind} | {column.unit} | {column.meaning} |"
            for name, column in TABLES[found[1]].items()
        ]
        return "\n".join([f"<!-- columns: {found[1]} -->", "", *HEAD, *rows, "", "<!-- end -->"])

    return TABLE.sub(table, text)


if __name__ == "__main__":
    main()
