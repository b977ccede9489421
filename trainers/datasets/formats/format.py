"""Format: the contract of a way to store labelled images, and what its reader hands over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainers.datasets.labelled_image import LabelledImage
from trainers.datasets.problems import Problems
from trainers.datasets.records.checked_image import CheckedImage


@dataclass(frozen=True)
class Source:
    """A source as its format's reader opened it.

    images: read as they are asked for; what cannot be read is counted as a problem, and left out.
    classes: names in the order of their future ids 1..N; None where the format lists none: then they are those of
        the boxes, in alphabetical order.
    declared_in: what lists the classes; a box of another class is an error there or in its label.
    notes: what to tell a person, e.g. that ids were remapped.
    """

    images: Iterator[LabelledImage]
    classes: tuple[str, ...] | None = None
    declared_in: str = ""
    notes: tuple[str, ...] = ()


class Format(Protocol):
    """A module of this package with these names.

    NAME: what `convert --to` calls it. TITLE: what a person calls it. KEEPS_RECORDS: it consists of TFRecords of the
    Object Detection API, which can be trained on where they lie if nothing is wrong with them.
    """

    @property
    def NAME(self) -> str: ...

    @property
    def TITLE(self) -> str: ...

    @property
    def TRAINABLE_IN_PLACE(self) -> bool: ...

    def recognises(self, path: Path) -> bool:
        """Whether `path`, which exists, is a source of this format; looks at names and first bytes only."""

    def roots(self, path: Path) -> Sequence[Path]:
        """The files and folders that the source consists of: when nothing in them changed, it did not."""

    def read(self, path: Path, problems: Problems) -> Source:
        """Open the source. Raises UserError when it cannot be used at all."""

    def write(
        self, folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]
    ) -> None:
        """Write records into an empty folder, so that `read` finds them again; in memory that does not grow.

        Raises UserError when the format has no way to say them.
        """
