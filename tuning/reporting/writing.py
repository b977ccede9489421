"""Writing a report in a format, into a file or to standard output: what the commands `report` and `compare` share."""

from __future__ import annotations

import sys
from pathlib import Path

from trainers.files import write_text
from tuning.reporting import as_json, as_markdown, page
from tuning.reporting.report import Report

FORMATS = {"html": page.render, "markdown": as_markdown.render, "json": as_json.render}


def write(report: Report, form: str, out: Path | None) -> None:
    """Into `out`, whole or not at all, and say so; printed without one."""
    text = FORMATS[form](report)
    if out is None:
        sys.stdout.write(text)
    else:
        write_text(out, text)
        print(out)
