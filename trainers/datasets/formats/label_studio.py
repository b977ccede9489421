"""Label Studio JSON: a list of tasks with rectangles in percent of the image; also its short form JSON_MIN.

Polygons and ellipses are read as their bounding boxes; other results, such as brushes, are left out. Of several
annotations of a task the one marked as ground truth counts, else the last that was not cancelled. A task without any was
skipped or is not labelled yet, and is left out; one with an empty annotation is an image without objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from trainers.datasets.files.image_folders import ImageFolders
from trainers.datasets.files.image_writing import write_image
from trainers.datasets.files.paths import BadImageName, first_bytes, relative
from trainers.datasets.files.streamed_json import BadJson, items
from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk
from trainers.datasets.formats.format import Source
from trainers.datasets.formats.parsing.rotated_boxes import Edges, around_ellipse, around_turned
from trainers.datasets.formats.parsing.uploaded_names import UploadedNames, without_prefix
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "label_studio"
TITLE = "Label Studio JSON"
TRAINABLE_IN_PLACE = False
STATES: frozenset[str] = frozenset()

_BEGINS = re.compile(rb"\s*\[\s*\{")
_NAMES = re.compile(
    rb'"(rectangle|polygon|ellipse|brush|keypoint)labels"|"type"\s*:\s*"labels"|"original_width"\s*:'
)
_KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels")
# what a value of each shape has; <Rectangle> with <Labels> does not say the shape otherwise
_SHAPES = {"width": "rectanglelabels", "points": "polygonlabels", "radiusX": "ellipselabels"}
_GEOMETRY = ("x", "y", "width", "height", "points", "radiusX", "radiusY", "rotation")
_DRAWN = (*_KINDS, "rectangle", "polygon", "ellipse")  # types of results


def is_export(file: Path) -> bool:
    """Whether a JSON file is a list of Label Studio's tasks, judged by its first 256 kB."""
    begin = first_bytes(file, 1 << 18)
    return bool(_BEGINS.match(begin) and _NAMES.search(begin))


def _files(path: Path) -> list[Path]:
    return [file for file in ([path] if path.is_file() else walk(path, ".json")) if is_export(file)]


def recognises(path: Path) -> bool:
    """A JSON file with a list of tasks, or a folder with such files."""
    return bool(_files(path)) if path.is_dir() or path.suffix.lower() == ".json" else False


def roots(path: Path) -> Sequence[Path]:
    """The folder; for a file, the file and the folder of its images."""
    return (path,) if path.is_dir() else (path, ImageFolders(path, path).top)


def read(path: Path, problems: Problems) -> Source:
    """Open the file, or all such files in the folder. The classes are those of the boxes, by alphabet."""
    files = _files(path)
    left_out: set[str] = set()
    unlabelled = 0
    for file in files:
        for task, _ in _tasks(file, relative(file, path), problems.source):
            unlabelled += not _is_labelled(task)
            left_out |= {kind for kind, _, _ in _results(task)} - set(_KINDS)
    notes = []
    if left_out:
        named = ", ".join(sorted(left_out))
        notes.append(f"of {TITLE}, {named} are left out: only rectangles, polygons and ellipses are read")
    if unlabelled:
        notes.append(f"{unlabelled} x task without an annotation left out: skipped, or not labelled yet")
    return Source(images=_images(path, files, problems), notes=tuple(notes))


def _tasks(file: Path, where: str, source: str) -> Iterator[tuple[dict[str, Any], int]]:
    try:
        for item in items(file):
            if item.key is None and isinstance(item.value, dict):
                yield item.value, item.line
    except BadJson as error:
        raise UserError(f"{source}: {where}: broken {TITLE}: {error}") from None


def _annotations(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The annotations of a task that were not cancelled; None in the short form, which has no such list."""
    done = task.get("annotations", task.get("completions"))
    if isinstance(done, list):
        return [each for each in done if isinstance(each, dict) and not each.get("was_cancelled")]
    return [] if isinstance(task.get("data"), dict) else None


def _is_labelled(task: dict[str, Any]) -> bool:
    return _annotations(task) != []


def _results(task: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The kind of each result, such as "rectanglelabels", its value, and the result with the image's size."""
    usable = _annotations(task)
    if usable is not None:
        chosen = next((each for each in usable if each.get("ground_truth")), usable[-1] if usable else {})
        results = chosen.get("result") or []
        all_of_them = [(each.get("value"), each) for each in results if isinstance(each, dict)]
    else:  # JSON_MIN: a list of values under the name of the labelling tag
        all_of_them = [
            (each, each) for values in task.values() if isinstance(values, list) for each in values
        ]
    found = [(value, result) for value, result in all_of_them if isinstance(value, dict)]
    named = {_region(value, result) for value, result in found if _is_named(value)}
    for value, result in found:
        shape = next((kind for key, kind in _SHAPES.items() if key in value), "labels")
        for key in (key for key in value if key.endswith("labels")):
            kind = shape if key == "labels" else key
            yield kind, {**value, kind: value[key]}, result
        drawn = result.get("type") in _DRAWN or (
            usable is None and "original_width" in value and shape != "labels"
        )
        if not _is_named(value) and drawn and _region(value, result) not in named:
            yield shape, {**value, shape: []}, result


def _is_named(value: dict[str, Any]) -> bool:
    """Whether the value of a result has labels; <Labels> state them in another result than the shape's."""
    return any(key.endswith("labels") for key in value)


def _region(value: dict[str, Any], result: dict[str, Any]) -> str:
    """The id of a region, which its shape and its label share; its geometry in the short form, which has no ids."""
    return str(result.get("id") or [(key, value.get(key)) for key in _GEOMETRY])


def _image_names(task: dict[str, Any]) -> list[str]:
    """The names that the image of a task may have on disk."""
    data = task.get("data", task)
    values = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    for value in values:
        paths = [path.lstrip("/") for path in _paths(value) if path.lower().endswith(IMAGE_SUFFIXES)]
        if paths:
            bases = [path.rsplit("/", 1)[-1] for path in paths]
            return list(dict.fromkeys((*paths, *bases, *map(without_prefix, bases))))
    return []


def _paths(value: str) -> tuple[str, ...]:
    """The paths that an image's address may mean, the likeliest first: an address is percent-encoded, a path is not."""
    try:
        address = urlsplit(value)
    except ValueError:  # a path that begins like an address
        return (value,)
    _, *local = re.split("[?&]d=", value, maxsplit=1)
    if local:  # /data/local-files/?d=...; a person who writes it may not encode # and &
        return unquote(local[0]), local[0], unquote(local[0].partition("&")[0])
    if address.scheme or value.startswith("/"):
        return unquote(address.path), value
    return value, unquote(value)


def _images(root: Path, files: Sequence[Path], problems: Problems) -> Iterator[LabelledImage]:
    for file in files:
        where, folders = relative(file, root), ImageFolders(file, root)
        uploaded = UploadedNames(folders.top)
        for task, line in _tasks(file, where, problems.source):
            if not _is_labelled(task):
                continue
            place, names = f"{where}:{line}", _image_names(task)
            if not names:
                problems.add(
                    Problem("missing image", place, f"task {task.get('id')} names no image file", place)
                )
                continue
            try:
                path = folders.find(*names)
                if not path.exists():
                    path = uploaded.find(names[0].rsplit("/", 1)[-1]) or path
            except BadImageName as error:
                problems.add(Problem(error.kind, place, str(error), place))
                continue
            image = relative(path, root) if root.is_dir() else names[0]
            results = list(_results(task))
            yield LabelledImage(
                name=image,
                stored=Stored(path),
                boxes=tuple(_boxes(results, image, place, line, problems)),
                labelled_in=where,
                size=_size(results),
                fractions=True,
                part=folders.part_of(path),
                rotated_by_default=True,  # as a browser shows it
            )


def _size(results: Sequence[tuple[str, dict[str, Any], dict[str, Any]]]) -> tuple[int, int] | None:
    for _, _, result in results:
        width, height = result.get("original_width"), result.get("original_height")
        if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
            return width, height
    return None


def _boxes(
    results: Sequence[tuple[str, dict[str, Any], dict[str, Any]]],
    image: str,
    place: str,
    line: int,
    problems: Problems,
) -> Iterator[Box]:
    size = _size(results) or (1, 1)
    for kind, value, _ in results:
        if kind not in _KINDS:
            continue
        names = value[kind]
        if (
            not isinstance(names, list)
            or len(names) != 1
            or not isinstance(names[0], str)
            or not names[0].strip()
        ):
            what = f"a result of {image} has the labels {str(names)[:80]}; expected one"
            problems.add(Problem("label without a category", place, what, image))
            continue
        try:
            yield Box(names[0], *_edges(kind, value, size), line=line)
        except (KeyError, TypeError, ValueError):
            what = f"{kind} of {image}: {str(value)[:80]}"
            problems.add(Problem("invalid box coordinates", place, what, image))


def _edges(kind: str, value: dict[str, Any], size: tuple[int, int]) -> Edges:
    """ymin, xmin, ymax, xmax in fractions of the image. A rectangle is turned about its top left corner, in pixels."""
    wide, high = size
    if kind == "polygonlabels":
        xs, ys = zip(*((float(x), float(y)) for x, y in value["points"]), strict=True)
        return min(ys) / 100, min(xs) / 100, max(ys) / 100, max(xs) / 100
    turned = float(value.get("rotation") or 0)
    keys = ("x", "y", "width", "height") if kind == "rectanglelabels" else ("x", "y", "radiusX", "radiusY")
    x, y, across, down = (
        float(value[key]) / 100 * side for key, side in zip(keys, (wide, high) * 2, strict=True)
    )
    if kind == "ellipselabels":
        edges = around_ellipse(x, y, across, down, turned)
    else:
        edges = around_turned(x, y, across, down, turned, (x, y))
    return edges[0] / high, edges[1] / wide, edges[2] / high, edges[3] / wide


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `tasks.json` and `images/<part>/`; the folder of an image states its part."""
    with (folder / "tasks.json").open("w", encoding="utf-8") as file:
        file.write("[")
        number = 0
        for part, images in parts.items():
            for image in images:
                number += 1
                name = write_image(folder / "images" / part, image)
                result = [
                    {
                        "original_width": image.width, "original_height": image.height, "image_rotation": 0,
                        "value": {
                            "x": xmin * 100, "y": ymin * 100, "width": (xmax - xmin) * 100,
                            "height": (ymax - ymin) * 100, "rotation": 0, "rectanglelabels": [classes[label - 1]],
                        },
                        "from_name": "label", "to_name": "image", "type": "rectanglelabels", "id": f"{number}-{index}",
                    }
                    for index, ((ymin, xmin, ymax, xmax), label) in enumerate(
                        zip(image.boxes.tolist(), image.labels, strict=True)
                    )
                ]  # fmt: skip
                task = {
                    "id": number,
                    "data": {"image": f"images/{part}/{name}"},
                    "annotations": [{"result": result}],
                }
                file.write(("," if number > 1 else "") + "\n" + json.dumps(task, ensure_ascii=False))
        file.write("\n]\n")
