"""Says which images of a folder the labels that are read leave out, and which of them have labels in another format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.files.paths import relative
from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk_paths
from trainers.datasets.formats.format import Format
from trainers.datasets.formats.recognition import Recognised
from trainers.datasets.problems import Problem, Problems
from trainers.errors import UserError


def report_unread(path: Path, found: Recognised, catalogue: Catalogue, problems: Problems) -> tuple[str, ...]:
    """Notes on the formats and images that are not read.

    An image without labels in the format that is read, but with labels in another, is a problem, unless the user named
    the format.
    """
    notes = [note] if (note := found.note()) else []
    if not path.is_dir() or found.format.TRAINABLE_IN_PLACE or found.format.NAME in ("dataset_yaml", "waymo"):
        return tuple(notes)
    unread = catalogue.not_listed(walk_paths(path, *IMAGE_SUFFIXES))
    if not unread:
        return tuple(notes)
    first = relative(Path(unread[0]), path)
    listed = sum(catalogue.counts().values())
    notes.append(
        f"{len(unread)} of {len(unread) + listed} images have no labels in {found.format.TITLE} and are left out, "
        f"such as {first}"
    )
    for other in () if found.named else found.others:
        for file in set(unread) & set(_labelled_in(other, path)):
            image = relative(Path(file), path)
            what = f"labelled in {other.TITLE}, but {found.format.TITLE} is read; convert the labels into one format"
            problems.add(Problem("labels in another format", image, what, image))
    return tuple(notes)


def _labelled_in(other: Format, path: Path) -> Iterator[str]:
    try:
        source = other.read(path, Problems(str(path), on_problem=lambda _: None))
        yield from (str(image.stored.path) for image in source.images if image.boxes)
    except UserError:  # broken, or without class names: the note on the formats says that it is not read
        return
