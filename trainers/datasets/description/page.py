"""Writes a description as one self-contained HTML page, with tables and sample images with their boxes."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from trainers.datasets.dataset import Dataset
from trainers.datasets.description.description import SHAPES, SIZES, Description
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_selected_images

_HEIGHT = 240  # of a sample image in CSS pixels; it is stored at twice this resolution
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1.5rem; color: #222 }
h1 { margin-bottom: 0 } h2 { margin: 2rem 0 .5rem } code { font-size: 13px; overflow-wrap: anywhere }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
thead th { border-bottom: 2px solid #888 } thead .group { text-align: center; font-weight: normal; color: #666 }
.name { text-align: left; white-space: normal; overflow-wrap: anywhere; max-width: 30rem }
.scroll { overflow-x: auto } .zero { color: #aaa }
.chip { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .5em }
.share { display: inline-block; height: .7em; border-radius: 2px; margin-left: .5em; opacity: .75 }
.warning { background: #fff3d6; border-left: 4px solid #d99a00; padding: .4rem .8rem; margin: .5rem 0 }
.note { color: #555; margin: .3rem 0 } .gallery { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0; max-width: 100% } figure svg { display: block; height: 240px; max-width: 100%; border-radius: 3px }
figcaption { font-size: 12px; color: #555; overflow-wrap: anywhere; width: 0; min-width: 100% }
"""


def write_page(described: Description, path: Path) -> None:
    """Write the page atomically."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(_page(described))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _page(described: Description) -> Iterator[str]:
    dataset = described.dataset
    title = escape(dataset.name)
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width"><style>' + _STYLE + "</style></head><body>\n"
    yield f"<h1>{title}</h1><p>{escape(dataset.source)}<br>fingerprint <code>{dataset.fingerprint}</code></p>\n"
    yield from (f'<p class="warning">{escape(line)}</p>\n' for line in described.warnings())
    yield from (f'<p class="note">{escape(line)}</p>\n' for line in dataset.notes)
    if described.duplicate_pairs:
        yield "<details><summary>duplicate images</summary><ul>"
        yield from (f"<li>{escape(line)}</li>" for line in described.duplicate_pairs)
        yield "</ul></details>\n"
    yield _parts_table(described)
    yield _classes_table(described)
    for name, part in dataset.parts.items():
        yield f'<h2>{escape(name)}</h2>\n<div class="gallery">\n'
        for image in read_selected_images(part.files, described.samples[name]):
            yield _figure(image, dataset)
        yield "</div>\n"
    yield "</body></html>\n"


def _parts_table(described: Description) -> str:
    rows = []
    for name, part in described.parts.items():
        common = ", ".join(f"{size} ({count})" for size, count in part.pixels.most_common(4))
        more = f", {len(part.pixels) - 4} more" if len(part.pixels) > 4 else ""
        mean = f"{part.boxes / max(part.images, 1):.1f}"
        numbers = [*map(_number, (part.images, part.empty, part.boxes)), mean, _number(part.most_boxes)]
        rows.append([_name(name), *map(_cell, numbers), _name(common + more)])
    columns = ("part", "images", "without boxes", "boxes", "boxes/image", "max", "size in pixels")
    return _table(columns, rows, left=(0, 6))


def _classes_table(described: Description) -> str:
    rows = []
    for label, name in enumerate(described.dataset.classes, 1):
        for part_name, part in described.parts.items():
            share = part.by_class[name] / max(part.boxes, 1)
            bar = (
                f'<span class="share" style="width: {5 * share:.2f}rem; background: {_colour(label)}"></span>'
            )
            chip = f'<span class="chip" style="background: {_colour(label)}"></span>'
            binned = [part.by_size[f"{name} {each}"] for each, _, _ in SIZES]
            binned += [part.by_shape[f"{name} {each}"] for each, _, _ in SHAPES]
            rows.append(
                [
                    _cell(str(label)),
                    f'<td class="name">{chip}{escape(name)}</td>',
                    _name(part_name),
                    _cell(_number(part.images_by_class[name])),
                    _cell(_number(part.by_class[name])),
                    f'<td class="name">{share:.1%}{bar}</td>',
                    *(_cell(_number(count)) for count in binned),
                ]
            )
    groups = '<tr><th colspan="6"></th>'
    groups += f'<th class="group" colspan="{len(SIZES)}">size: up to 32², up to 96², larger</th>'
    groups += f'<th class="group" colspan="{len(SHAPES)}">width / height: to ½, to 1, to 2, more</th></tr>'
    bins = [name for name, _, _ in (*SIZES, *SHAPES)]
    columns = ("id", "class", "part", "images", "boxes", "share of boxes", *bins)
    return _table(columns, rows, left=(1, 2, 5), above=groups)


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int], above: str = ""
) -> str:
    names = (' class="name"' if index in left else "" for index in range(len(columns)))
    head = "".join(f"<th{name}>{escape(column)}</th>" for name, column in zip(names, columns, strict=True))
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return f'<div class="scroll"><table><thead>{above}<tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'


def _number(count: int) -> str:
    return f"{count:,}"


def _cell(text: str) -> str:
    return f'<td class="zero">{text}</td>' if text == "0" else f"<td>{text}</td>"


def _name(text: str) -> str:
    return f'<td class="name">{escape(text)}</td>'


def _colour(label: int) -> str:
    """A colour for a label id. Hues are a golden angle apart, so that any number of classes can be told apart."""
    return f"hsl({(label - 1) * 137.508 % 360:.0f} 85% 45%)"


def _figure(image: CheckedImage, dataset: Dataset) -> str:
    with Image.open(BytesIO(image.image)) as opened:
        opened.thumbnail((4 * _HEIGHT, 2 * _HEIGHT))
        small = BytesIO()
        opened.convert("RGB").save(small, "JPEG", quality=80)
    data = base64.b64encode(small.getvalue()).decode()
    width, height = image.width, image.height
    drawn = [f'<image href="data:image/jpeg;base64,{data}" width="{width}" height="{height}"/>']
    pixel = height / _HEIGHT  # image pixels per CSS pixel
    for (ymin, xmin, ymax, xmax), label in zip(image.pixel_boxes().tolist(), image.labels, strict=True):
        box = (
            f'x="{xmin:.1f}" y="{ymin:.1f}" width="{xmax - xmin:.1f}" height="{ymax - ymin:.1f}" fill="none"'
        )
        drawn.append(f'<rect {box} stroke="#fff" stroke-opacity=".7" stroke-width="{3.5 * pixel:.2f}"/>')
        drawn.append(f'<rect {box} stroke="{_colour(label)}" stroke-width="{2 * pixel:.2f}"/>')
    for (ymin, xmin, _, _), label in zip(image.pixel_boxes().tolist(), image.labels, strict=True):
        at = f'x="{xmin:.1f}" y="{max(ymin - 3 * pixel, 12 * pixel):.1f}" font-size="{12 * pixel:.1f}"'
        halo = f'fill="#fff" stroke="{_colour(label)}" stroke-width="{3.5 * pixel:.2f}" paint-order="stroke"'
        drawn.append(f"<text {at} {halo}>{escape(dataset.classes[label - 1])}</text>")
    count = len(image.labels)
    caption = f"{escape(image.name)}<br>{width} x {height}, {count} box{'' if count == 1 else 'es'}"
    picture = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(image.name)}">{"".join(drawn)}</svg>'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>\n"
