"""ImageIndex: the images below a folder by their names, for labels that name no folder, or one that is not here."""

from __future__ import annotations

import unicodedata
from functools import cached_property
from pathlib import Path

from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk


class ImageIndex:
    """The images below `root` by name. Read at the first question.

    Names are compared without case, as on Windows and macOS, and in Unicode's composed form: macOS decomposes them.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def named(self, name: str) -> list[Path]:
        """The images with this file name, in any folder."""
        return [
            path for path in self._by_stem.get(_key(Path(name).stem), ()) if _key(path.name) == _key(name)
        ]

    def with_stem(self, stem: str) -> list[Path]:
        """The images with this file name without its suffix, in any folder."""
        return list(self._by_stem.get(_key(stem), ()))

    @cached_property
    def folders(self) -> frozenset[Path]:
        """The folders that hold images."""
        return frozenset(path.parent for paths in self._by_stem.values() for path in paths)

    @cached_property
    def folder_names(self) -> frozenset[str]:
        """The names of the folders that hold images, and of those above them."""
        return frozenset(part for folder in self.folders for part in folder.relative_to(self._root).parts)

    @cached_property
    def _by_stem(self) -> dict[str, tuple[Path, ...]]:
        found: dict[str, tuple[Path, ...]] = {}
        for path in walk(self._root, *IMAGE_SUFFIXES):
            key = _key(path.stem)
            found[key] = (*found.get(key, ()), path)
        return found


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
