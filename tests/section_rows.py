"""The rows of a table, by their first column."""

from cachelab.report.section import Section


def rows(section: Section) -> dict[str, tuple[str, ...]]:
    return {row[0].strip(): row[1:] for row in section.rows}
