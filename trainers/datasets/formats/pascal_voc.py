"""Pascal VOC: one XML file for each image, with boxes in pixels; parsing/voc_images.py finds the images.

xmin, ymin, xmax, ymax are distances from the left and top edge, as in the Object Detection API's own converter
(dataset_tools/create_pascal_tf_record.py). `ImageSets/Main/{train,val,test}.txt`, or folders with such names,
state the parts. A `label_map.pbtxt` states the order of the classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from trainers.datasets.files.image_writing import write_image
from trainers.datasets.files.parts import StatedParts
from trainers.datasets.files.paths import BadImageName, first_bytes, relative
from trainers.datasets.files.split_lists import SplitLists
from trainers.datasets.files.walking import walk
from trainers.datasets.formats.format import Source
from trainers.datasets.formats.parsing.label_map_choice import Evidence, chosen, label_maps
from trainers.datasets.formats.parsing.voc_images import VocImages
from trainers.datasets.label_map import read_label_map, remapping_note, write_label_map
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.errors import UserError

NAME = "pascal_voc"
TITLE = "Pascal VOC XML"
TRAINABLE_IN_PLACE = False
STATES = frozenset({"difficult"})

_BEGINS = re.compile(rb"<annotation[\s>]")  # CVAT's files begin with <annotations>
_OBJECT = re.compile(rb"<object[\s>]")
_TRUE = ("1", "true", "yes")  # of <difficult>; labelImg writes 0 and 1, others "Unspecified" too
_LOOKED_AT = 20  # XML files to recognise the format by, since some may be damaged or unrelated


def recognises(path: Path) -> bool:
    """A folder with XML files that begin with `<annotation`."""
    if not path.is_dir():
        return False
    return any(_BEGINS.search(first_bytes(file)) for file in islice(walk(path, ".xml"), _LOOKED_AT))


def roots(path: Path) -> Sequence[Path]:
    """The folder."""
    return (path,)


def read(path: Path, problems: Problems) -> Source:
    """Open the folder."""
    label_map = _label_map(path)
    names = read_label_map(label_map) if label_map else None
    note = remapping_note(names) if names else None
    return Source(
        images=_images(path, problems),
        classes=tuple(names.values()) if names else None,
        declared_in=relative(label_map, path) if label_map else "",
        notes=(*([f"label map: {label_map}"] if label_map else []), *([note] if note else [])),
    )


def _label_map(path: Path) -> Path | None:
    """The label map that fits the names of the objects, if there are several."""
    found = label_maps(path)
    if len(found) < 2:
        return found[0] if found else None
    texts: set[str] = set()
    for file in walk(path, ".xml"):
        with suppress(DefusedXmlException, ParseError, ValueError, OSError):  # reading it reports that
            texts |= {_text(each, "name", "") for each in fromstring(file.read_bytes()).findall("object")}
    return chosen(path, found, [], Evidence({-1: texts}))


def _images(root: Path, problems: Problems) -> Iterator[LabelledImage]:
    lists, stated, pictures = SplitLists(root), StatedParts(root), VocImages(root)
    for file in walk(root, ".xml"):
        where = relative(file, root)
        try:
            image = _image(root, file, pictures)
        except DefusedXmlException:
            problems.add(Problem("unreadable labels", where, "XML entities are not supported", where))
        except BadImageName as error:
            problems.add(Problem(error.kind, where, str(error), where))
        except (ParseError, ValueError, OSError) as error:
            problems.add(Problem("unreadable labels", where, " ".join(str(error).split()), where))
        else:
            picture = image.stored.path
            listed = lists.part_of(file) or lists.part_of(picture)
            yield replace(image, part=listed or stated.of_image(picture) or stated.of_image(file))
    problems.extend(lists.problems())


def _image(root: Path, file: Path, pictures: VocImages) -> LabelledImage:
    data = file.read_bytes()
    annotation = fromstring(data)  # bytes, so that the encoding declared in the XML is used
    if annotation.tag != "annotation":
        raise ValueError(f"expected <annotation>, got <{annotation.tag}>")
    picture = pictures.find(file, _text(annotation, "filename", ""))
    lines = [data[: found.start()].count(b"\n") + 1 for found in _OBJECT.finditer(data)]
    objects = annotation.findall("object")
    numbers = lines if len(lines) == len(objects) else [None] * len(objects)
    width, height = (round(float(_text(annotation, f"size/{side}", "0"))) for side in ("width", "height"))
    return LabelledImage(
        name=relative(picture, root),
        stored=Stored(picture),
        boxes=tuple(_box(each, line) for each, line in zip(objects, numbers, strict=True)),
        labelled_in=relative(file, root),
        size=(width, height) if width > 0 and height > 0 else None,  # some tools write zeros for unknown
    )


def _text(element: Any, path: str, default: str | None = None) -> str:
    text = element.findtext(path)
    if text is None or not text.strip():
        if default is None:
            raise ValueError(f"<{element.tag}> has no <{path}>")
        return default
    return str(text).strip()


def _box(element: Any, line: int | None) -> Box:
    ymin, xmin, ymax, xmax = (
        float(_text(element, f"bndbox/{edge}")) for edge in ("ymin", "xmin", "ymax", "xmax")
    )
    difficult = _text(element, "difficult", "0").lower() in _TRUE
    return Box(_text(element, "name"), ymin, xmin, ymax, xmax, difficult=difficult, line=line)


def write(folder: Path, classes: Sequence[str], parts: Mapping[str, Iterable[CheckedImage]]) -> None:
    """Write `JPEGImages/`, `Annotations/`, `ImageSets/Main/<part>.txt` and a `label_map.pbtxt`."""
    broken = [name for name in classes if name != name.strip() or not name.isprintable()]
    if broken:
        raise UserError(f"class {broken[0]!r} cannot be written in XML; rename it")
    sets = folder / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (folder / "Annotations").mkdir()
    write_label_map(folder / "label_map.pbtxt", classes)
    for part, images in parts.items():
        with (sets / f"{'val' if part == 'validation' else part}.txt").open("w", encoding="utf-8") as listed:
            for image in images:
                name = write_image(folder / "JPEGImages", image)
                xml = folder / "Annotations" / f"{Path(name).stem}.xml"
                xml.write_bytes(_annotation(name, classes, image))
                listed.write(f"{Path(name).stem}\n")


def _annotation(name: str, classes: Sequence[str], image: CheckedImage) -> bytes:
    annotation = Element("annotation")

    def add(parent: Element, **fields: object) -> None:
        for tag, value in fields.items():
            SubElement(parent, tag).text = str(value)

    add(annotation, folder="JPEGImages", filename=name)
    add(SubElement(annotation, "size"), width=image.width, height=image.height, depth=3)
    boxes = image.pixel_boxes().round(2).tolist()
    for (ymin, xmin, ymax, xmax), label, difficult in zip(boxes, image.labels, image.difficult, strict=True):
        element = SubElement(annotation, "object")
        add(element, name=classes[label - 1], difficult=int(difficult))
        add(SubElement(element, "bndbox"), xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
    indent(annotation)
    encoded: bytes = tostring(annotation, encoding="utf-8")
    return encoded
