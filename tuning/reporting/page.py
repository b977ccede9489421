"""The report as one self-contained HTML file: plotly.js, pictures and styles are embedded, so it needs no network."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import jinja2
import plotly.io
import plotly.offline
from markupsafe import Markup

from tuning.reporting.report import Report

HERE = Path(__file__).parent


def render(report: Report) -> str:
    """The HTML page. All text is escaped: class names and study names may be hostile."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    charts = [chart for section in report.sections for chart in section.charts]
    figures = [json.loads(plotly.io.to_json(chart.figure, validate=False)) for chart in charts]
    return environment.get_template("page.html").render(
        report=report,
        figures=_in_script(figures),
        numbers={id(chart): number for number, chart in enumerate(charts)},
        plotly=Markup(plotly.offline.get_plotlyjs() if charts else ""),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        base64=lambda content: base64.b64encode(content).decode(),
        id=id,
    )


def _in_script(value: object) -> Markup:
    """JSON that cannot close the <script> element around it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
