"""BDD100K JSON: a list of frames with box2d {x1, y1, x2, y2} in pixels.

The 2018 release calls three classes person, bike and motor; they are read as pedestrian, bicycle and motorcycle, as the
2020 release calls them. Frames of one video (`videoName`) go into one part. Lanes and areas have no box and are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainers.datasets.files.image_folders import ImageFolders
from trainers.datasets.files.image_writing import write_image
from trainers.datasets.files.paths import BadImageName, first_bytes, relative
from trainers.datasets.files.streamed_json import BadJson, items
from trainers.datasets.files.walking import walk
from trainers.datasets.formats.format import Source
from trainers.datasets.formats.label_studio import is_export
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "bdd100k"
TITLE = "BDD100K JSON"
TRAINABLE_IN_PLACE = False
STATES = frozenset({"crowd"})

# doc.bdd100k.com/format.html: the detection categories in the order of their ids, and the three of tracking
CLASSES = (
    "pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "traffic sign",
    "other vehicle", "other person", "trailer",
)  # fmt: skip
OLD_NAMES = {"person": "pedestrian", "bike": "bicycle", "motor": "motorcycle"}

_BEGINS = re.compile(
    rb'\s*\[\s*\{.*?"(labels|attributes|videoName|timestamp)"|\s*\{\s*"frames"\s*:\s*\[', re.DOTALL
)


def _files(path: Path) -> list[Path]:
    found = [path] if path.is_file() else walk(path, ".json")
    return [file for file in found if _BEGINS.match(first_bytes(file)) and not is_export(file)]


def recognises(path: Path) -> bool:
    """A JSON file that begins with a list of frames, or a folder with such files."""
    return bool(_files(path)) if path.is_dir() or path.suffix.lower() == ".json" else False


def roots(path: Path) -> Sequence[Path]:
    """The folder; for a file, the file and the folder of its images."""
    return (path,) if path.is_dir() else (path, ImageFolders(path, path).top)


def read(path: Path, problems: Problems) -> Source:
    """Open the file, or all such files in the folder."""
    files = _files(path)
    found: dict[str, None] = {}
    old = False
    for file in files:
        for name in _categories(file, relative(file, path), problems.source):
            old = old or name in OLD_NAMES
            found[OLD_NAMES.get(name, name)] = None
    known = [name for name in CLASSES if name in found]
    note = "2018 class names are read as those of 2020: person -> pedestrian, bike -> bicycle, motor -> motorcycle"
    return Source(
        images=_images(path, files, problems),
        classes=(*known, *sorted(set(found) - set(known))) or None,
        declared_in="its categories",
        notes=(note,) if old else (),
    )


def _frames(file: Path, where: str, source: str) -> Iterator[tuple[dict[str, Any], int]]:
    try:
        for item in items(file):
            if item.key in (None, "frames") and isinstance(item.value, dict):
                yield item.value, item.line
    except BadJson as error:
        raise UserError(f"{source}: {where}: broken {TITLE}: {error}") from None


def _labels(frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for label in frame.get("labels") or []:
        if isinstance(label, dict) and label.get("box2d") is not None:
            yield label


def _categories(file: Path, where: str, source: str) -> Iterator[str]:
    for frame, _ in _frames(file, where, source):
        for label in _labels(frame):
            if isinstance(label.get("category"), str):
                yield label["category"]


def _images(root: Path, files: Sequence[Path], problems: Problems) -> Iterator[LabelledImage]:
    for file in files:
        where, folders = relative(file, root), ImageFolders(file, root)
        for frame, line in _frames(file, where, problems.source):
            place, name = f"{where}:{line}", str(frame.get("name"))
            video = frame.get("videoName") or frame.get("video_name")
            try:
                stored = Stored(folders.find(f"{video}/{name}" if video else name, name))
            except BadImageName as error:
                problems.add(Problem(error.kind, place, str(error), place))
                continue
            image = relative(stored.path, root) if root.is_dir() else name
            boxes = [_box(label, image, place, line, problems) for label in _labels(frame)]
            yield LabelledImage(
                name=image,
                stored=stored,
                boxes=tuple(box for box in boxes if box),
                labelled_in=where,
                part=folders.part_of(stored.path),
                sequence=f"{where} {video}" if video else None,
            )


def _box(label: dict[str, Any], image: str, place: str, line: int, problems: Problems) -> Box | None:
    category, box = label.get("category"), label["box2d"]
    if not isinstance(category, str) or not category.strip():
        problems.add(Problem("label without a category", place, f"label {label.get('id')} of {image}", image))
        return None
    try:
        xmin, ymin, xmax, ymax = (float(box[edge]) for edge in ("x1", "y1", "x2", "y2"))
    except (TypeError, ValueError, KeyError, OverflowError):
        what = f"box2d is {str(box)[:80]}; expected {{x1, y1, x2, y2}}"
        problems.add(Problem("invalid box coordinates", place, what, image))
        return None
    crowd = bool((label.get("attributes") or {}).get("crowd"))
    return Box(OLD_NAMES.get(category, category), ymin, xmin, ymax, xmax, crowd=crowd, line=line)


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `labels/det_20/det_<part>.json` and `images/100k/<part>/`, as in the 2020 release."""
    (folder / "labels" / "det_20").mkdir(parents=True)
    spelt = {"validation": "val"}
    for part, images in parts.items():
        name = spelt.get(part, part)
        with (folder / "labels" / "det_20" / f"det_{name}.json").open("w", encoding="utf-8") as file:
            file.write("[")
            for index, image in enumerate(images):
                frame = {
                    "name": write_image(folder / "images" / "100k" / name, image),
                    "attributes": {},
                    "labels": [
                        {
                            "id": str(number),
                            "category": classes[label - 1],
                            "attributes": {"crowd": crowd},
                            "box2d": {"x1": xmin, "y1": ymin, "x2": xmax, "y2": ymax},
                        }
                        for number, ((ymin, xmin, ymax, xmax), label, crowd) in enumerate(
                            zip(
                                image.pixel_boxes().round(2).tolist(),
                                image.labels,
                                image.crowd,
                                strict=True,
                            )
                        )
                    ],
                }
                file.write(("," if index else "") + "\n" + json.dumps(frame, ensure_ascii=False))
            file.write("\n]\n")
