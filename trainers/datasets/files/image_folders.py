"""ImageFolders: finds the images that a label file names, in the folders around it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from trainers.datasets.files.parts import StatedParts
from trainers.datasets.files.paths import safe_join
from trainers.datasets.files.walking import IMAGE_SUFFIXES

# errors of a name for which there is no file, or cannot be one
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


class ImageFolders:
    """Finds the images that a label file names, in the folders around that file.

    A label file of one part never gets an image from the folder of another part, since file names may repeat.

    top: the folder that is searched.
    """

    def __init__(self, labels: Path, root: Path) -> None:
        """labels: the label file. root: the source. If both are the same file, its folder is searched."""
        self.top = root if root.is_dir() else labels.parent
        own = StatedParts(root if root.is_dir() else labels.parent).of_labels(labels)
        self._own, self._named = own, own if root.is_dir() else None  # who names a single file wants it all
        folders = [self.top, *_folders(self.top)]
        if not root.is_dir() and not any(_holds_images(folder) for folder in folders):
            self.top = labels.parent.parent
            folders = [self.top, *_folders(self.top)]
        self._parts = StatedParts(self.top)
        of = {folder: self._parts.of_folder(str(folder)) for folder in folders}
        allowed = [folder for folder in folders if own is None or of[folder] in (own, None)]
        # first the folder of the label file, then those that state its part
        self._folders = sorted(allowed, key=lambda folder: (folder != labels.parent, of[folder] != own))
        self._last = self._folders[0]

    def part_of(self, image: Path) -> str | None:
        """The part of an image: that of the label file, or if this states none, that of the image's folder."""
        return self._named if self._own else self._parts.of_image(image)

    def find(self, *names: str) -> Path:
        """The first of `names` that exists in one of the folders; a path that does not exist if there is none.

        Raises UnsafePath.
        """
        for name in names:
            plain = "/" not in name and "\\" not in name and name not in ("", ".", "..") and "\0" not in name
            for folder in (self._last, *self._folders):
                path = folder / name if plain else safe_join(self.top, folder.relative_to(self.top), name)
                try:
                    about = os.lstat(path)
                except OSError as error:
                    if error.errno in _NO_SUCH_FILE:
                        continue
                    raise
                if not stat.S_ISREG(about.st_mode):  # maybe a link out of the folder
                    path = safe_join(self.top, path.relative_to(self.top))
                    if not path.is_file():
                        continue
                self._last = folder
                return path
        return self._last / names[-1]


def _holds_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(IMAGE_SUFFIXES) for entry in entries)


def _folders(root: Path, depth: int = 5) -> Iterator[Path]:
    with os.scandir(root) as entries:
        found = sorted(
            e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")
        )
    for name in found:
        yield root / name
        if depth:
            yield from _folders(root / name, depth - 1)
