"""CVAT for images 1.1: an XML file with the boxes of many images, in pixels; `subset` states the part.

Polygons, ellipses and masks are read as their bounding boxes; other shapes, such as points, are left out. The form for
videos, with `<track>` elements, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from trainers.datasets.files.image_folders import ImageFolders
from trainers.datasets.files.image_writing import write_image
from trainers.datasets.files.parts import plainly_stated
from trainers.datasets.files.paths import BadImageName, first_bytes, relative
from trainers.datasets.files.walking import walk
from trainers.datasets.formats.format import Source
from trainers.datasets.formats.parsing.rotated_boxes import Edges, around_ellipse, around_turned
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "cvat"
TITLE = "CVAT for images 1.1"
TRAINABLE_IN_PLACE = False
STATES = frozenset({"difficult"})

_BEGINS = re.compile(rb"<annotations[\s>]")
_LOOKED_AT = 20  # XML files to recognise the format by
_LEFT_OUT = ("polyline", "points", "cuboid", "skeleton", "tag")


def _files(path: Path, most: int | None = None) -> list[Path]:
    """The files of this format among all XML files, or the first `most` of them."""
    found = [path] if path.is_file() else islice(walk(path, ".xml"), most)
    return [file for file in found if file.suffix.lower() == ".xml" and _BEGINS.search(first_bytes(file))]


def recognises(path: Path) -> bool:
    """An XML file that begins with `<annotations>`, or a folder with such files."""
    return bool(_files(path, _LOOKED_AT))


def roots(path: Path) -> Sequence[Path]:
    """The folder; for a file, the file and the folder of its images."""
    return (path,) if path.is_dir() else (path, ImageFolders(path, path).top)


def read(path: Path, problems: Problems) -> Source:
    """Open the file, or all such files in the folder. Raises UserError if one is broken or is of a video."""
    files = _files(path)
    classes: dict[str, None] = {}
    left_out: set[str] = set()
    for file in files:
        for element in _elements(file, path, problems.source):
            if element.tag == "track":
                where = f"{problems.source}: {relative(file, path)}"
                raise UserError(
                    f"{where}: CVAT for video, which is not supported; export CVAT for images 1.1"
                )
            if element.tag == "label" and element.find("parent") is None and element.findtext("name"):
                classes[str(element.findtext("name"))] = None
            left_out |= {each.tag for each in element if each.tag in _LEFT_OUT}
    note = f"of {TITLE}, {', '.join(sorted(left_out))} are left out: only shapes with an area are read"
    return Source(
        images=_images(path, files, problems),
        classes=tuple(classes) or None,
        declared_in="its <labels>",
        notes=(note,) if left_out else (),
    )


def _elements(file: Path, root: Path, source: str) -> Iterator[Any]:
    """The <label>, <image> and <track> elements one by one."""
    try:
        for _, element in iterparse(file):
            if element.tag in ("label", "image", "track"):
                yield element
                element.clear()
    except DefusedXmlException:
        raise UserError(f"{source}: {relative(file, root)}: XML entities are not supported") from None
    except (ParseError, ValueError, LookupError) as error:
        raise UserError(f"{source}: {relative(file, root)}: broken {TITLE} XML: {error}") from None


def _images(root: Path, files: Sequence[Path], problems: Problems) -> Iterator[LabelledImage]:
    for file in files:
        where, folders = relative(file, root), ImageFolders(file, root)
        for element in _elements(file, root, problems.source):
            if element.tag != "image":
                continue
            name = element.get("name", "")
            try:
                stored = Stored(folders.find(name))
                size = (round(float(element.get("width", 0))), round(float(element.get("height", 0))))
            except (BadImageName, ValueError) as error:
                kind = error.kind if isinstance(error, BadImageName) else "unreadable labels"
                problems.add(Problem(kind, where, f"image {name}: {error}", f"{where} {name}"))
                continue
            image = relative(stored.path, root) if root.is_dir() else name
            yield LabelledImage(
                name=image,
                stored=stored,
                boxes=tuple(_boxes(element, where, image, problems)),
                labelled_in=where,
                size=size if min(size) > 0 else None,
                part=plainly_stated(element.get("subset", "")) or folders.part_of(stored.path),
            )


def _boxes(element: Any, where: str, image: str, problems: Problems) -> Iterator[Box]:
    for shape in element:
        try:
            edges = _edges(shape)
        except (KeyError, ValueError):
            what = f"a {shape.tag} without its coordinates"
            problems.add(Problem("invalid box coordinates", where, what, image))
            continue
        if edges:
            name = shape.get("label", "")
            if not name.strip():
                problems.add(Problem("label without a category", where, f"a {shape.tag} of {image}", image))
                continue
            difficult = any(
                each.get("name") == "difficult" and (each.text or "").strip().lower() in ("1", "true")
                for each in shape.iter("attribute")
            )
            yield Box(name, *edges, difficult=difficult)


def _edges(shape: Any) -> Edges | None:
    """ymin, xmin, ymax, xmax of a shape with an area; None for another."""
    turned = float(shape.get("rotation", 0))
    if shape.tag == "box":
        xmin, ymin, xmax, ymax = (float(shape.attrib[edge]) for edge in ("xtl", "ytl", "xbr", "ybr"))
        middle = ((xmin + xmax) / 2, (ymin + ymax) / 2)
        return (
            around_turned(xmin, ymin, xmax - xmin, ymax - ymin, turned, middle)
            if turned
            else (ymin, xmin, ymax, xmax)
        )
    if shape.tag == "ellipse":
        x, y, across, down = (float(shape.attrib[edge]) for edge in ("cx", "cy", "rx", "ry"))
        return around_ellipse(x, y, across, down, turned)
    if shape.tag == "mask":
        x, y, width, height = (float(shape.attrib[edge]) for edge in ("left", "top", "width", "height"))
        return y, x, y + height, x + width
    if shape.tag == "polygon":
        points = [tuple(map(float, point.split(","))) for point in shape.attrib["points"].split(";")]
        xs, ys = zip(*points, strict=True)
        return min(ys), min(xs), max(ys), max(xs)
    return None


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `annotations.xml` and `images/<part>/`."""
    broken = [name for name in classes if name != name.strip() or not name.isprintable()]
    if broken:
        raise UserError(f"class {broken[0]!r} cannot be written in XML; rename it")
    with (folder / "annotations.xml").open("w", encoding="utf-8") as file:
        file.write(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><task><labels>\n'
        )
        file.writelines(
            f"<label><name>{escape(name)}</name><attributes></attributes></label>\n" for name in classes
        )
        file.write("</labels></task></meta>\n")
        number = 0
        for part, images in parts.items():
            for image in images:
                name = write_image(folder / "images" / part, image)
                file.write(
                    f"<image id={quoteattr(str(number))} name={quoteattr(f'{part}/{name}')} subset={quoteattr(part)} "
                    f'width="{image.width}" height="{image.height}">\n'
                )
                file.writelines(_written(image, classes))
                file.write("</image>\n")
                number += 1
        file.write("</annotations>\n")


def _written(image: CheckedImage, classes: Sequence[str]) -> Iterator[str]:
    boxes = image.pixel_boxes().round(2).tolist()
    for (ymin, xmin, ymax, xmax), label, difficult in zip(boxes, image.labels, image.difficult, strict=True):
        edges = f'xtl="{xmin}" ytl="{ymin}" xbr="{xmax}" ybr="{ymax}"'
        attribute = '<attribute name="difficult">true</attribute>' if difficult else ""
        yield f'<box label={quoteattr(classes[label - 1])} occluded="0" {edges} z_order="0">{attribute}</box>\n'
