"""The report as Markdown, for a pull request or a terminal: text and tables, without charts and pictures."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from tuning.reporting.report import Report
from tuning.reporting.section import Table


def render(report: Report) -> str:
    """The Markdown document: the study as its title, a second-level heading per section."""
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
    lines.append(f"Written {report.generated}. Charts and pictures are in the HTML report (`--format html`).")
    return "\n".join(lines) + "\n"


def rows_of(table: Table) -> list[str]:
    """The lines of a Markdown table, and its note."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(escaped(cell) for cell in cells) + " |"

    found = [line(table.columns), "|" + " --- |" * len(table.columns), *map(line, table.rows)]
    return [*found, "", escaped(table.note)] if table.note else found


def escaped(text: str) -> str:
    """Text with Markdown and HTML escaped, so that any class name is shown literally."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", plain)
