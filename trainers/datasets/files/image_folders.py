"""ImageFolders: finds the images that a label file names, in the folders around it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainers.datasets.files.image_index import ImageIndex
from trainers.datasets.files.parts import StatedParts
from trainers.datasets.files.paths import BadImageName, UnsafePath, is_file_inside, leads_out, names_below
from trainers.datasets.files.walking import IMAGE_SUFFIXES

_NO_IMAGES = (".json", ".xml", ".txt", ".csv", ".yaml", ".yml", ".md")
_LOOKED_THROUGH = 16  # folders; among more, an index of all images is quicker


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
        of_part = [folder for folder in folders if own is None or of[folder] in (own, None)]
        allowed = [folder for folder in of_part if _may_hold_images(folder)] or [self.top]
        # first the folder of the label file, then those that state its part
        beside = [folder for folder in allowed if folder == labels.parent]
        same = [folder for folder in allowed if of[folder] == own and folder != labels.parent]
        rest = [folder for folder in allowed if of[folder] != own and folder != labels.parent]
        self._groups = [[str(folder) for folder in group] for group in (beside, same, rest) if group]
        self._index = ImageIndex(self.top)

    def part_of(self, image: Path) -> str | None:
        """The part of an image: that of the label file, or if this states none, that of the image's folder."""
        return self._named if self._own else self._parts.of_image(image)

    def find(self, *names: str) -> Path:
        """The image that the first of `names` leads to; a path that does not exist if none does.

        A path that does not exist below the searched folders may have been written on another machine: then its last
        components count, unless its folder is here and only the image is missing.
        Raises BadImageName if several images could be meant, or the image is a link out of the searched folder.
        """
        for name in names:
            before = ""
            for below in names_below(name):
                if before and self._is_here(before.split("/")[0]):
                    break
                before = below
                for group in self._groups:
                    if found := self._in_group(group, below):
                        return found
        for name in names:
            if found := self._spelt_otherwise(name):
                return found
        if leads_out(names[-1]):
            raise UnsafePath(f"{names[-1]!r} is outside {self.top}, and no image in it has this name")
        return Path(self._groups[0][0], next(iter(names_below(names[-1])), "?"))

    def _in_group(self, folders: Sequence[str], name: str) -> Path | None:
        if len(folders) <= _LOOKED_THROUGH:
            paths = [
                path for folder in folders if is_file_inside(path := f"{folder}{os.sep}{name}", self.top)
            ]
        else:
            among = {f"{folder}{os.sep}{name}" for folder in folders}
            paths = [str(path) for path in self._index.named(name.split("/")[-1]) if str(path) in among]
        if len(paths) > 1:
            both = " and ".join(os.path.relpath(path, self.top) for path in paths[:2])
            raise BadImageName(f"{name} may be {both}; state its folder in the labels")
        return Path(paths[0]) if paths else None

    def _spelt_otherwise(self, name: str) -> Path | None:
        """The one image whose name differs from `name` in its case or its Unicode form only."""
        *folders, last = names_below(name)[0].split("/") if names_below(name) else [""]
        allowed = {folder for group in self._groups for folder in group}
        found = [path for path in self._index.named(last) if str(path.parent) in allowed]
        if folders and self._is_here(folders[-1]):
            found = [path for path in found if path.parent.name == folders[-1]]
        return found[0] if len(found) == 1 else None

    def _is_here(self, folder: str) -> bool:
        return folder in self._index.folder_names


def _holds_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(IMAGE_SUFFIXES) for entry in entries)


def _may_hold_images(folder: Path) -> bool:
    """Whether there is an image, a link or a folder in it; a label file may name an image in a folder of its folder."""
    with os.scandir(folder) as entries:
        return any(
            not entry.is_file(follow_symlinks=False) or not entry.name.lower().endswith(_NO_IMAGES)
            for entry in entries
        )


def _folders(root: Path, depth: int = 5) -> Iterator[Path]:
    with os.scandir(root) as entries:
        found = sorted(
            e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")
        )
    for name in found:
        yield root / name
        if depth:
            yield from _folders(root / name, depth - 1)
