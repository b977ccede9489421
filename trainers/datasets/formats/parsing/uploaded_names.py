"""UploadedNames: images by the names that Label Studio gives to uploaded files, as Django's get_valid_filename does."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from trainers.datasets.files.paths import BadImageName, relative
from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk

_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # before the name of each uploaded file
_DROPPED = re.compile(r"[^-\w.]")


def without_prefix(name: str) -> str:
    """The name of an uploaded file without the digits that Label Studio puts before it."""
    return _PREFIX.sub("", name)


class UploadedNames:
    """The images below `root` by these names. Read at the first question."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, name: str) -> Path | None:
        """The image that was uploaded as `name`, with its prefix. Raises BadImageName if it could be several images."""
        found = self._images.get(without_prefix(name), []) if _PREFIX.match(name) else []
        if len(found) > 1:
            both = " and ".join(relative(path, self._root) for path in found[:2])
            raise BadImageName(f"{name} may be {both}; rename one of them")
        return found[0] if found else None

    @cached_property
    def _images(self) -> dict[str, list[Path]]:
        """`IMG (1).jpg` is `IMG_1.jpg` after the upload."""
        found: dict[str, list[Path]] = {}
        for path in walk(self._root, *IMAGE_SUFFIXES):
            found.setdefault(_DROPPED.sub("", path.name.strip().replace(" ", "_")), []).append(path)
        return found
