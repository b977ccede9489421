"""COCO JSON: one file for each part with images, annotations and categories; boxes are [x, y, width, height] in pixels.

An annotation without a `bbox` has the box of its segmentation. Classes are matched by name over all files, so that these
may number them differently. Files without boxes, such as captions, are left out. `iscrowd` and `area` are kept; `ignore`
and `difficult`, which converters write for Pascal VOC's flag, mean the same.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from trainers.datasets.files.image_folders import ImageFolders
from trainers.datasets.files.image_writing import write_image
from trainers.datasets.files.paths import BadImageName, contains, first_bytes, relative
from trainers.datasets.files.walking import walk
from trainers.datasets.formats.format import Source
from trainers.datasets.formats.parsing import coco_categories
from trainers.datasets.formats.parsing.coco_index import CocoIndex
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "coco"
TITLE = "COCO JSON"
TRAINABLE_IN_PLACE = False
STATES = frozenset({"crowd", "difficult"})

_BEGINS = re.compile(
    rb'\s*\{\s*(?:"(?:images|annotations|categories)"\s*:\s*\[|"(?:info|licenses|type)"\s*:)'
)
# without one of these lists it is another file, such as the categories that Label Studio writes beside YOLO labels
_LISTS = re.compile(rb'"(?:images|annotations)"\s*:\s*\[')
# a file without it lists images that nobody has labelled; one with an empty list, images without objects
_ANNOTATIONS = re.compile(rb'"annotations"\s*:\s*\[')
# published beside instances_<part>.json, for the same images
_TWINS = re.compile(r"^(?:person_keypoints|stuff|panoptic|captions)_")


def _is_coco(file: Path) -> bool:
    return bool(_BEGINS.match(first_bytes(file))) and contains(file, _LISTS)


def _files(path: Path) -> list[Path]:
    return [file for file in ([path] if path.is_file() else walk(path, ".json")) if _is_coco(file)]


def recognises(path: Path) -> bool:
    """A JSON file that begins with one of COCO's keys, or a folder with such files."""
    return bool(_files(path)) if path.is_dir() or path.suffix.lower() == ".json" else False


def roots(path: Path) -> Sequence[Path]:
    """The folder; for a file, the file and the folder of its images."""
    return (path,) if path.is_dir() else (path, ImageFolders(path, path).top)


def read(path: Path, problems: Problems) -> Source:
    """Open the file, or all such files in the folder. Raises UserError if their categories are unusable."""
    files, notes = without_twins(_files(path), path)
    indices = []
    for file in files:
        index = CocoIndex(file, relative(file, path), problems)
        labelled = lists_annotations(file) and index.used_categories() != {"None"}
        if not labelled or not index.categories:
            notes.append(f"{index.where} is left out: it has no boxes")
            index.close()
        else:
            indices.append(index)
    if not indices:
        raise UserError(f'{path}: no categories; a COCO file lists its classes under "categories"')
    names, classes, note = coco_categories.merged(indices, problems.source)
    return Source(
        images=_images(path, indices, names, problems),
        classes=classes,
        declared_in="its categories",
        notes=(*notes, *note),
    )


def lists_annotations(file: Path) -> bool:
    """Whether a COCO file has a list of annotations, which may be empty."""
    return contains(file, _ANNOTATIONS)


def without_twins(files: Sequence[Path], path: Path) -> tuple[list[Path], list[str]]:
    """The files without those that label the images of an instances_<part>.json again, and notes on them."""
    known = set(files)
    twin = {file: file.with_name(_TWINS.sub("instances_", file.name)) for file in files}
    left_out = [file for file in files if twin[file] != file and twin[file] in known]
    notes = [
        f"{relative(file, path)} is left out: it labels the images of {twin[file].name}" for file in left_out
    ]
    return [file for file in files if file not in left_out], notes


def _images(
    root: Path, indices: Sequence[CocoIndex], names: Sequence[Mapping[int, str]], problems: Problems
) -> Iterator[LabelledImage]:
    for index, own in zip(indices, names, strict=True):
        where, folders = index.where, ImageFolders(index.file, root)
        with closing(index):
            for (_, name, width, height, video, line), annotations in index.listed():
                try:
                    stored = Stored(folders.find(name))
                except BadImageName as error:
                    place = f"{where}:{line}"
                    problems.add(Problem(error.kind, place, str(error), place))
                    continue
                image = relative(stored.path, root) if root.is_dir() else name
                boxes = [_box(row, where, image, own, problems) for row in annotations]
                yield LabelledImage(
                    name=image,
                    stored=stored,
                    boxes=tuple([box for box in boxes if box]),
                    labelled_in=where,
                    size=(width, height) if width else None,
                    part=folders.part_of(stored.path),
                    sequence=None if video is None else f"{where} {video}",
                )
            for image_id, count, line in index.lost():
                what = f"{count} annotations refer to image {image_id}, which is not listed"
                problems.add(
                    Problem("annotation for a missing image", f"{where}:{line}", what, f"{where} {image_id}")
                )


def _box(
    row: tuple[Any, ...], where: str, image: str, names: Mapping[int, str], problems: Problems
) -> Box | None:
    """The box of a row (id, category, x, y, w, h, bbox, crowd, difficult, area, line); None if unusable."""
    number, category, x, y, width, height, text, crowd, difficult, area, line = row
    if category not in names:
        what = f"annotation {number} has category_id {category}, which is not in its categories; add it there"
        problems.add(Problem("unknown label", f"{where}:{line}", what, image, fatal=True))
        return None
    if text is None:
        return Box(names[category], y, x, y + height, x + width, bool(difficult), bool(crowd), line, area)
    bbox = json.loads(text)
    if bbox is None or bbox == []:
        what = f"annotation {number} has neither a bbox nor a segmentation"
        problems.add(Problem("annotation without a box", f"{where}:{line}", what, image))
        return None
    try:
        x, y, width, height = (float(edge) for edge in bbox)
    except (TypeError, ValueError, OverflowError):
        what = f"annotation {number} has bbox {text[:80]}; expected [x, y, width, height]"
        problems.add(Problem("invalid box coordinates", f"{where}:{line}", what, image))
        return None
    return Box(names[category], y, x, y + height, x + width, bool(difficult), bool(crowd), line, area)


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `annotations/instances_<part>.json` and `images/<part>/`."""
    (folder / "annotations").mkdir()
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    for part, images in parts.items():
        labels = folder / "annotations" / f"instances_{part}.json"
        # annotations are collected in a temporary file, since they follow all images
        with (
            labels.open("w", encoding="utf-8") as file,
            tempfile.TemporaryFile("w+", encoding="utf-8") as waiting,
        ):
            file.write(f'{{"categories": {json.dumps(categories, ensure_ascii=False)},\n"images": [')
            annotation_id = 0
            for image_id, image in enumerate(images, 1):
                name = write_image(folder / "images" / part, image)
                entry = {"id": image_id, "file_name": name, "width": image.width, "height": image.height}
                file.write(("," if image_id > 1 else "") + "\n" + json.dumps(entry, ensure_ascii=False))
                areas = image.areas or (None,) * len(image.labels)
                for (ymin, xmin, ymax, xmax), label, difficult, crowd, area in zip(
                    image.pixel_boxes().tolist(),
                    image.labels,
                    image.difficult,
                    image.crowd,
                    areas,
                    strict=True,
                ):
                    annotation_id += 1
                    width, height = xmax - xmin, ymax - ymin
                    annotation = {
                        "id": annotation_id, "image_id": image_id, "category_id": label,
                        "bbox": [round(edge, 2) for edge in (xmin, ymin, width, height)],
                        "area": round(width * height if area is None else area, 2), "iscrowd": int(crowd),
                        **({"ignore": 1} if difficult else {}),
                    }  # fmt: skip
                    waiting.write(("," if annotation_id > 1 else "") + "\n" + json.dumps(annotation))
            file.write('],\n"annotations": [')
            waiting.seek(0)
            shutil.copyfileobj(waiting, file)
            file.write("]}\n")
