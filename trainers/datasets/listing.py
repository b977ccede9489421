"""Lists the images of a source in a catalogue, drops labels of undeclared classes, and assigns images to parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.files.paths import relative
from trainers.datasets.files.walking import has_files, skipped_files
from trainers.datasets.formats.format import Reading, Source
from trainers.datasets.formats.recognition import Recognised
from trainers.datasets.formats.unread_images import report_unread
from trainers.datasets.labelled_image import LabelledImage
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.shard_workers import ShardWorkers
from trainers.datasets.splits.splitting import split
from trainers.errors import UserError

_MANY = 1000  # images; one process converts these in about the time that starting others takes


@dataclass(frozen=True)
class Listed:
    """What was listed.

    classes: class names in the order of their label ids 1..N.
    images: number of images in the source, including those that could not be listed.
    notes: remarks for the user.
    as_stored: label ids and parts are those of the source.
    """

    classes: tuple[str, ...]
    images: int
    notes: tuple[str, ...]
    as_stored: bool


def list_source(
    path: Path,
    found: Recognised,
    reading: Reading,
    catalogue: Catalogue,
    problems: Problems,
    workers: ShardWorkers,
) -> Listed:
    """Fill `catalogue` from the source at `path`, which has the format `found`.

    workers: are started as soon as the source turns out to have many images.
    Raises UserError if the source is unusable.
    """
    roots = found.format.roots(path)
    if any(root.is_dir() and has_files(root, _MANY) for root in roots):
        workers.start()
    try:
        source = found.format.read(path, problems)
        catalogue.add_all(_known(source, problems, workers.start))
    except UserError as error:
        raise UserError(f"{error}{found.hint()}") from None
    _report_skipped_files(roots, problems)
    _drop_images_labelled_twice(catalogue, problems)
    unread = report_unread(path, found, catalogue, problems)
    classes = source.classes or tuple(catalogue.images_by_class())
    listed = sum(catalogue.counts().values())
    images = listed + catalogue.count_unlisted(problems.affected_images)
    if not problems.on_problem:
        problems.raise_if_unusable(images)
    if not listed:
        raise UserError(f"{problems.source}: no labelled images found")
    if not classes:
        raise UserError(f"{problems.source}: {listed} images without a single box; training needs boxes")
    unused = _without_effect(reading, catalogue)
    pattern = reading.group_by or source.group_by
    notes = split(catalogue, problems.source, pattern, workers.hashes, reading.fold)
    return Listed(
        classes,
        images,
        (*unread, *source.notes, *notes, *unused),
        as_stored=not notes and not source.remapped,
    )


def _without_effect(reading: Reading, catalogue: Catalogue) -> tuple[str, ...]:
    """A note, if images are to be grouped that have their parts already."""
    counts = catalogue.counts()
    if (
        reading.group_by is None
        or reading.fold
        or not (counts["validation"] and (counts["train"] or counts[None]))
    ):
        return ()
    return ("--group-by has no effect: the source states which images are for validation",)


def _report_skipped_files(roots: Sequence[Path], problems: Problems) -> None:
    seen: set[Path] = set()
    for root in roots:
        for path, reason in skipped_files(root) if root.is_dir() else ():
            counted = any(relative(path, folder) in problems.affected_images for folder in path.parents)
            if path not in seen and not counted:
                problems.add(Problem("skipped file", relative(path, root), reason))
                seen.add(path)


def _drop_images_labelled_twice(catalogue: Catalogue, problems: Problems) -> None:
    for first, later in catalogue.drop_repeated_files():
        what = f"{first.name} already has labels in {first.labelled_in}; put all its labels in one place"
        problems.add(Problem("image labelled twice", later.labelled_in, what, later.name))


def _known(source: Source, problems: Problems, when_many: Callable[[], None]) -> Iterator[LabelledImage]:
    for number, image in enumerate(source.images):
        if number == _MANY:
            when_many()
        yield _with_known_labels(image, source, problems)


def _with_known_labels(image: LabelledImage, source: Source, problems: Problems) -> LabelledImage:
    if source.classes is None or all(box.name in source.classes for box in image.boxes):
        return image
    for box in image.boxes:
        if box.name not in source.classes:
            near = get_close_matches(box.name, source.classes, 1)
            hint = f"did you mean '{near[0]}'?" if near else "add it there, or correct the label"
            what = f"label '{box.name}' is not in {source.declared_in}; {hint}"
            problems.add(Problem("unknown label", image.label_place(box), what, image.name, fatal=True))
    return replace(image, boxes=tuple(box for box in image.boxes if box.name in source.classes))
