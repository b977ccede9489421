"""VocImages: finds the image of a Pascal VOC XML file, in all the usual folder layouts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from trainers.datasets.files.image_index import ImageIndex
from trainers.datasets.files.parts import StatedParts
from trainers.datasets.files.paths import (
    BadImageName,
    UnsafePath,
    is_file_inside,
    leads_out,
    names_below,
    relative,
)
from trainers.datasets.files.walking import IMAGE_SUFFIXES

_SUFFIXES = (*IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES))
_USUAL = ("jpegimages", "images", "image", "imgs", "img", "data", "photos", "pictures", "frames")
# a folder called so holds labels; the folder beside it may then have any name
_FOR_LABELS = re.compile(r"ann|label|xml|bbox|box|voc|^gt$", re.IGNORECASE)
_OTHERS = re.compile(r"mask|segmentation|^imagesets$|^thumb")


class VocImages:
    """The images of the XML files below `root`.

    An image is beside its XML file; in a folder of images that mirrors the XML file's (`images/val/` for `labels/val/`);
    in the folder above; or anywhere, if only one image has its name and no folder is the mirror.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._index = ImageIndex(root)
        self._parts = StatedParts(root)
        self._near: dict[Path, list[list[str]]] = {}
        self._mirrors: dict[Path, set[Path]] = {}

    def find(self, xml: Path, stated: str) -> Path:
        """The image of the file `xml`, whose <filename> is `stated`, maybe "".

        Returns a path that does not exist if there is none. Raises BadImageName if it could be several images, or is a
        link out of the root.
        """
        names = names_below(stated)
        found = next(filter(None, (self._near_file(xml, [name]) for name in names)), None)
        own = None
        if found is None or found.stem != xml.stem:
            own = self._near_file(xml, [f"{xml.stem}{suffix}" for suffix in _SUFFIXES])
        if found and own and found != own:
            both = f"{relative(found, self._root)} by its <filename>, or {relative(own, self._root)} by its own name"
            raise BadImageName(f"the image may be {both}; correct the <filename>")
        found = found or own or self._anywhere(xml, names)
        if found is None and leads_out(stated):
            raise UnsafePath(f"{stated!r} is outside {self._root}, and no image in it has this name")
        return found or self._missing(xml, names)

    def _near_file(self, xml: Path, names: list[str]) -> Path | None:
        for folders in self._near_folders(xml.parent):
            paths = (f"{folder}{os.sep}{name}" for folder in folders for name in names)
            self._unambiguous(found := [Path(path) for path in paths if is_file_inside(path, self._root)])
            if found:
                return found[0]
        return None

    def _near_folders(self, folder: Path) -> list[list[str]]:
        """The folders in which to look for the images of the XML files in `folder`, the likeliest first."""
        if folder not in self._near:
            own = folder.relative_to(self._root).parts
            exact: list[list[Path]] = [[folder]]
            above_it: list[list[Path]] = []
            for depth in range(len(own) - 1, -1, -1):
                above, rest = self._root.joinpath(*own[:depth]), own[depth + 1 :]
                for names in _image_folders(above, own[depth]):
                    exact.append([path for name in names if (path := above.joinpath(name, *rest)).is_dir()])
                    above_it.append(
                        [above / name for name in names if not above.joinpath(name, *rest).is_dir()]
                    )
            above_it.append([folder.parent] if own else [])
            part = self._parts.of_folder(str(folder))
            near = [
                [
                    str(path)
                    for path in group
                    if self._parts.of_folder(str(path)) in (part, None) or part is None
                ]
                for group in (*exact, *above_it)
            ]
            self._near[folder] = [group for group in near if group]
            self._mirrors[folder] = {path for group in exact for path in group}
        return self._near[folder]

    def _anywhere(self, xml: Path, names: list[str]) -> Path | None:
        for found in (self._index.named(names[-1]) if names else [], self._index.with_stem(xml.stem)):
            part = self._parts.of_image(xml)
            found = [path for path in found if part is None or self._parts.of_image(path) in (part, None)]
            if self._mirrors[xml.parent] & self._index.folders:  # then only the spelling of the name differs
                found = [path for path in found if path.parent in self._mirrors[xml.parent]]
            self._unambiguous(found)
            if found:
                return found[0]
        return None

    def _unambiguous(self, found: list[Path]) -> None:
        if len(found) > 1:
            some = " and ".join(relative(path, self._root) for path in found[:2])
            raise BadImageName(f"the image may be {some}; state its path in <filename>")

    def _missing(self, xml: Path, names: list[str]) -> Path:
        near = [folder for group in self._near_folders(xml.parent) for folder in group]
        usual = [folder for folder in near if Path(folder).name.lower() in _USUAL]
        return Path((usual or near)[0], names[-1] if names else xml.stem)


def _image_folders(above: Path, labels: str) -> Iterator[list[str]]:
    """The folders beside that of the labels which may hold the images; those in one list are equally likely."""
    with os.scandir(above) as entries:
        beside = [e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")]
    lower = {name.lower(): name for name in sorted(beside) if name != labels}
    yield from ([lower[name]] for name in _USUAL if name in lower)
    if _FOR_LABELS.search(labels):
        yield sorted(name for key, name in lower.items() if key not in _USUAL and not _OTHERS.search(key))
