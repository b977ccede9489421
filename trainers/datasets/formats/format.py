"""Format: the interface of a format of labelled images, and Source, which its reader returns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainers.datasets.labelled_image import LabelledImage
from trainers.datasets.problems import Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.splits.folds import Fold


@dataclass(frozen=True)
class Reading:
    """How a user wants a source to be read.

    format: the NAME of the format, if there are several in the source; None for the first that is found.
    group_by: images of whose names this pattern matches the same text, or the same first group, stay in one part.
    fold: the split to make, in the place of the source's own parts; None for those, or for one split.
    """

    format: str | None = None
    group_by: re.Pattern[str] | None = None
    fold: Fold | None = None

    def key(self) -> str:
        """A text that differs for other settings; "" for none."""
        fold = f"fold {self.fold}" if self.fold else None
        return " ".join(filter(None, (self.format, self.group_by and self.group_by.pattern, fold)))


@dataclass(frozen=True)
class Source:
    """A source opened by the reader of its format.

    images: read lazily. What cannot be read is reported as a problem and left out.
    classes: class names in the order of their label ids 1..N; None if the format does not list them, and then they are
        the classes of the boxes in alphabetical order.
    declared_in: the file or text that lists the classes, for error messages about undeclared ones.
    notes: remarks for the user, such as remapped label ids.
    group_by: as in Reading, if the source states it.
    remapped: the label ids in TFRecord files are not those of `classes`, so that the files cannot be used as they are.
    """

    images: Iterator[LabelledImage]
    classes: tuple[str, ...] | None = None
    declared_in: str = ""
    notes: tuple[str, ...] = ()
    remapped: bool = False
    group_by: re.Pattern[str] | None = None


class Format(Protocol):
    """A format, which is a module of this package with these names.

    NAME: its name for `convert --to`. TITLE: its name for people.
    TRAINABLE_IN_PLACE: it consists of TFRecord files, which need no conversion if they have no problems.
    STATES, if there is one: which of "crowd", "difficult" and "weight" its files can state of an object, so that `write`
        and `read` keep them; without it, all.
    """

    @property
    def NAME(self) -> str: ...

    @property
    def TITLE(self) -> str: ...

    @property
    def TRAINABLE_IN_PLACE(self) -> bool: ...

    def recognises(self, path: Path) -> bool:
        """Whether `path`, which exists, is a source of this format, judged by names and first bytes only."""

    def roots(self, path: Path) -> Sequence[Path]:
        """The files and folders that make up the source; the cache is valid while none of them changes."""

    def read(self, path: Path, problems: Problems) -> Source:
        """Open the source and report its problems to `problems`. Raises UserError if it is unusable."""

    def write(
        self, folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]
    ) -> None:
        """Write images into an empty folder, in constant memory, so that `read` reads the same images back.

        classes: class names; label id i is classes[i - 1].
        Raises UserError if the format cannot express the classes.
        """
