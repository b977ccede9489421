"""Format: the contract of a way to store labelled images, and what its reader hands over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from trainers.datasets.labelled_image import LabelledImage
from trainers.datasets.problems import Problems


@dataclass(frozen=True)
class Source:
    """A source as its format's reader opened it.

    images: read as they are asked for; what cannot be read is counted as a problem, and left out.
    classes: names in the order of their future ids 1..N; None where the format lists none: then they are
        those of the boxes, in alphabetical order.
    declared_in: the file that lists the classes; a box of another class is an error there or in its label.
    notes: what to tell a person, e.g. that ids were remapped.
    turned_by_default: boxes without a stated size mean the picture as its EXIF turns it.
    """

    images: Iterator[LabelledImage]
    classes: tuple[str, ...] | None = None
    declared_in: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)
    turned_by_default: bool = False


class Format(Protocol):
    """A module of this package with these names."""

    NAME: str
    TITLE: str

    def recognises(self, path: Path) -> bool:
        """Whether `path`, which exists, is a source of this format; looks at names and first bytes only."""

    def read(self, path: Path, problems: Problems) -> Source:
        """Open the source. Raises UserError when it cannot be used at all."""
