"""Archives of arrays: how the per-image results of a trial are kept on disk, as NumPy archives without pickles."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trainers.errors import UserError
from trainers.files import write_bytes


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Store the arrays under their names; atomic."""
    archive = io.BytesIO()
    np.savez_compressed(archive, allow_pickle=False, **arrays)
    write_bytes(path, archive.getvalue())


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays by name; empty if there is no such file. Raises UserError if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is damaged ({' '.join(str(error).split())}); delete it") from None
