"""Writes the tables of docs/metrics.md from the metrics' definitions: `python tools/make_metrics_doc.py [FILE]`.

A table is the text from a line `<!-- metrics: GROUP, ... -->` to the next line `<!-- end -->`. The groups are keys of
conf/metrics/default.yaml. Name, unit, definition and "absent when" come from the metrics. The last column comes from
tests/metrics/example.yaml, which is worked by hand. Without FILE, docs/metrics.md is rewritten in place.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name

import yaml

from cachelab.explanation.numbers import NUMBERS
from cachelab.metrics.base import AnyMetric

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs/metrics.md"
TABLE = re.compile(r"<!-- metrics: ([\w, ]+) -->\n.*?<!-- end -->", re.DOTALL)
NUMBERS_TABLE = re.compile(r"<!-- numbers: explanation -->\n.*?<!-- end -->", re.DOTALL)
NUMBERS_HEAD = ("| metric | unit | definition | absent when |", "|---|---|---|---|")
HEAD = ("| metric | unit | definition | absent when | in the example |", "|---|---|---|---|---|")


def main() -> None:
    """Write the document."""
    groups: dict[str, Sequence[AnyMetric]] = {
        key: resolve_name(path)
        for key, path in yaml.safe_load((ROOT / "conf/metrics/default.yaml").read_text(encoding="utf-8")).items()
    }
    examples = yaml.safe_load((ROOT / "tests/metrics/example.yaml").read_text(encoding="utf-8"))
    text = with_numbers(DOCUMENT.read_text(encoding="utf-8"))
    text = with_tables(text, groups, examples)
    (Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT).write_text(text, encoding="utf-8")


def with_tables(text: str, groups: Mapping[str, Sequence[AnyMetric]], examples: Mapping[str, str]) -> str:
    """The document with new tables. Exits with one line if a group has no table, or a metric no example."""
    shown = [name for names in TABLE.findall(text) for name in names.split(", ")]
    if sorted(shown) != sorted(groups):
        raise SystemExit(f"{DOCUMENT}: tables of {sorted(shown)}, but conf/metrics/default.yaml has {sorted(groups)}")
    metrics = [metric.name for group in groups.values() for metric in group]
    if apart := sorted({*metrics} ^ {*examples}):
        raise SystemExit(f"tests/metrics/example.yaml: {apart[0]} has no metric, or no example")

    def table(found: re.Match[str]) -> str:
        rows = [row(metric, examples[metric.name]) for name in found[1].split(", ") for metric in groups[name]]
        return "\n".join([f"<!-- metrics: {found[1]} -->", "", *HEAD, *rows, "", "<!-- end -->"])

    return TABLE.sub(table, text)


def with_numbers(text: str) -> str:
    """The document with a new table of the numbers of an explanation, which have no column for the example."""
    rows = [f"| `{number.name}` | {number.unit} | {number.definition} | {number.absent_when} |" for number in NUMBERS]
    table = "\n".join(["<!-- numbers: explanation -->", "", *NUMBERS_HEAD, *rows, "", "<!-- end -->"])
    return NUMBERS_TABLE.sub(lambda found: table, text)


def row(metric: AnyMetric, example: str) -> str:
    """One row of a table."""
    cells = (f"`{metric.name}`", metric.unit, metric.definition, metric.absent_when, example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    main()
