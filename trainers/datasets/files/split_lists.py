"""SplitLists: parts stated by text files that list images, such as `ImageSets/Main/train.txt` or `val.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from trainers.datasets.files.parts import plainly_stated
from trainers.datasets.files.paths import names_below, read_text, relative
from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk_matching
from trainers.datasets.problems import Problem

_NAME = re.compile(r"^(train|val|test)\w*\.txt$", re.IGNORECASE)
_SUFFIX = re.compile(rf"({'|'.join(map(re.escape, IMAGE_SUFFIXES))}|\.xml)(\s.*)?$", re.IGNORECASE)
_CLASS_FLAG = re.compile(r"\s+(-1|0|1)$")  # of Pascal VOC's lists for one class
_LABELS = re.compile(r"\s*\d+(\s+[-+.\deE]+){4}")  # YOLO's labels of an image that is called train.jpg


class SplitLists:
    """The lists of a source: in its own folder, and in folders below `ImageSets`.

    A line is the name of an image, with or without its folders and suffix; it may contain spaces. An image in several
    lists is in the last of train, validation and test.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._parts: dict[str, tuple[str, str]] = {}  # line without suffix: part and list
        self._ends: dict[str, str] = {}  # the last components of a line: the line
        self._unflagged: dict[str, str] = {}  # the line without the flag of a list for one class: the line
        self._repeated: dict[str, tuple[str, str]] = {}
        self._used: set[str] = set()
        order = ("train", "validation", "test")
        for part, file in sorted(self._files(), key=lambda found: (order.index(found[0]), found[1])):
            self._read(file, part)

    def _files(self) -> Iterator[tuple[str, Path]]:
        for file in walk_matching(self._root, _NAME):
            beside = file.parent == self._root or "ImageSets" in file.relative_to(self._root).parts
            if beside and (part := plainly_stated(file.name)):
                yield part, file

    def _read(self, file: Path, part: str) -> None:
        where = relative(file, self._root)
        lines = [line.strip() for line in read_text(file).splitlines() if line.strip()]
        if lines and _LABELS.match(lines[0]):
            return
        for line in lines:
            names = names_below(_SUFFIX.sub("", line))
            if not names:
                continue
            before, _ = self._parts.get(names[0], (part, ""))
            if before != part:
                self._repeated[names[0]] = (before, where)
            self._parts[names[0]] = (part, where)
            for end in names[1:]:
                self._ends.setdefault(end, names[0])
            self._unflagged.setdefault(_CLASS_FLAG.sub("", names[0]), names[0])

    def part_of(self, image: Path) -> str | None:
        """The part of an image, or of its label file; None if no list has it."""
        if not self._parts:
            return None
        names = names_below(relative(image.with_suffix(""), self._root))
        lines = (*names, *map(self._unflagged.get, names), self._ends.get(names[0]))
        line = next((line for line in lines if line in self._parts), None)
        if line is None:
            return None
        self._used.add(line)
        return self._parts[line][0]

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the lists, once every image has been asked for."""
        unused: dict[str, list[str]] = {}
        for line, (_, where) in self._parts.items():
            if line not in self._used:
                unused.setdefault(where, []).append(line)
        for where, lines in unused.items():
            what = f"{len(lines)} names without a labelled image, such as {lines[0]}"
            yield Problem("listed without labels", where, what)
        for line, (before, where) in self._repeated.items():
            yield Problem(
                "image in two lists", where, f"{line} is in the list of {before} too; it is used for this one"
            )
