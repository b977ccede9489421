"""What this machine has found out of an export, and need not find out again: its backend, its converted network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from trainers.detection.export import Export
from trainers.errors import UserError

VARIABLE = "DETECTOR_SERVING_CACHE"
DEFAULT = "~/.cache/detector-tuning/serving"
KEPT = 8  # exports; a converted network is as large as the export's own


def folder(export: Export) -> Path:
    """A folder for this export, whose id stands for its content. The exports that were used least lately lose theirs.

    In ~/.cache/detector-tuning/serving unless the environment names another place. Raises UserError when it cannot be
    written.
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
        raise UserError(f"{found}: cannot be used ({error.strerror}); name a folder in ${VARIABLE}") from None
    for path in others[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
    return found
