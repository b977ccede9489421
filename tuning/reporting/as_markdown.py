"""The report as Markdown: its sentences and tables, for a pull request or a terminal. Charts are for HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from tuning.reporting.report import Report
from tuning.reporting.section import Table


def render(report: Report) -> str:
    """One document, headings from the second level on below its title."""
    lines = [
        f"# {escaped(report.study)}",
        "",
        f"**{escaped(report.headline)}**",
        "",
        escaped(report.subtitle),
        "",
    ]
    lines += [line for name, command in report.commands for line in (f"- {name}: `{command}`",)] + [""]
    for section in report.sections:
        lines += [f"## {escaped(section.title)}", ""]
        for sentence in section.text:
            lines += [escaped(sentence), ""]
        for table in section.tables:
            lines += [*rows_of(table), ""]
    lines.append(f"Written {report.generated}; `--format html` has the charts and the pictures.")
    return "\n".join(lines) + "\n"


def rows_of(table: Table) -> list[str]:
    """A table's lines, and its note."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(escaped(cell) for cell in cells) + " |"

    found = [line(table.columns), "|" + " --- |" * len(table.columns), *map(line, table.rows)]
    return [*found, "", escaped(table.note)] if table.note else found


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, also where it is made of a stranger's class names."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", plain)
