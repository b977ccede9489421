"""Writes a report in one of its formats, to a file or to standard output; for the commands `report` and `compare`."""

from __future__ import annotations

import sys
from pathlib import Path

from trainers.files import write_text
from tuning.reporting import as_json, as_markdown, page
from tuning.reporting.report import Report

FORMATS = {"html": page.render, "markdown": as_markdown.render, "json": as_json.render}


def write(report: Report, form: str, out: Path | None) -> None:
    """Write the report to `out`, atomically, and print the path; without `out`, print the report itself.

    form: a key of FORMATS.
    """
    text = FORMATS[form](report)
    if out is None:
        sys.stdout.write(text)
    else:
        write_text(out, text)
        print(out)
