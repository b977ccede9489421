"""Gives an export the settings of its post-processing, with what they gain."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainers.detection import export as exports
from trainers.detection.postprocessing.settings import POSTPROCESSING, Postprocessing
from trainers.export import MANIFEST
from trainers.files import replace_folder, write_text


def store(folder: Path, chosen: Postprocessing, evidence: Mapping[str, Any]) -> None:
    """Give an export the settings, with what they gain; atomic. Its export_id changes."""
    export = exports.read(folder)
    with replace_folder(folder) as new:
        shutil.copytree(folder, new, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        content = {**asdict(chosen), "thresholds": list(chosen.thresholds), "evidence": dict(evidence)}
        write_text(new / POSTPROCESSING, json.dumps(content, indent=1, allow_nan=False) + "\n")
        about = {name: value for name, value in export.manifest.items() if name not in ("format", "files")}
        exports.seal(new, export.classes, export.framing, export.threshold, about)
