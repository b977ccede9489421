"""This machine's cache for each export: its measured backend and its converted network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from serve.tasks.task import ServedExport
from trainers.errors import UserError

VARIABLE = "DETECTOR_SERVING_CACHE"
DEFAULT = "~/.cache/detector-tuning/serving"
MAX_EXPORTS = 8  # a converted network is as large as the export


def folder(export: ServedExport) -> Path:
    """The export's cache folder, created if needed; beyond MAX_EXPORTS the least recently used ones are removed.

    It is in ~/.cache/detector-tuning/serving, or in $DETECTOR_SERVING_CACHE. Named by export id, which depends on the
    export's contents alone. Raises UserError when it cannot be written.
    """
    root = Path(os.environ.get(VARIABLE) or DEFAULT).expanduser()
    found = root / export.export_id
    try:
        found.mkdir(parents=True, exist_ok=True)
        os.utime(found)
        others = sorted(
            (path for path in root.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime
        )
    except OSError as error:
        raise UserError(
            f"{found}: not usable ({error.strerror}); set ${VARIABLE} to another folder"
        ) from None
    for path in others[:-MAX_EXPORTS]:
        shutil.rmtree(path, ignore_errors=True)
    return found
