"""Tables as LaTeX."""

from pathlib import Path

from cachelab.report.latex import latex, write_latex
from cachelab.report.section import Section

SECTION = Section(
    "Hit rates & more", ("hit_rate/", "value %"), [("first_prefill", "85.05 %"), ("a{b}", "-")], "A note."
)


def test_table_is_escaped_and_aligned() -> None:
    lines = latex(SECTION).splitlines()
    assert lines[0] == "% Hit rates & more"
    assert lines[1] == r"\begin{tabular}{lr}"
    assert lines[3] == r"hit\_rate/ & value \% \\"
    assert lines[5] == r"first\_prefill & 85.05 \% \\"
    assert lines[6] == r"a\{b\} & - \\"
    assert lines[-1] == "% A note."


def test_one_file_per_table(tmp_path: Path) -> None:
    write_latex(tmp_path / "tables", [SECTION])
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["hit_rates_more.tex"]
