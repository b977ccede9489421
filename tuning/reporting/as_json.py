"""The report as JSON, for programs: the text and the values of each section under its key."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from tuning.reporting.report import Report


def render(report: Report) -> str:
    """One JSON object; NaN and infinity become null."""
    plain = {
        "study": report.study,
        "headline": report.headline,
        "trials": report.subtitle,
        "generated": report.generated,
        "commands": dict(report.commands),
        "sections": {part.key: {"text": list(part.text), **part.data} for part in report.sections},
    }
    return json.dumps(_finite(plain), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(name): _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
