"""A description as one HTML page that needs nothing else: tables, and sample images with their boxes drawn."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from trainers.datasets.catalogue import rank
from trainers.datasets.dataset import Dataset
from trainers.datasets.description import SHAPES, SIZES, Description
from trainers.datasets.record import Record, read_records

_SAMPLES = 12  # of each part
_WIDTH = 360  # pixels
_COLOURS = (
    "#e6194b",
    "#3cb44b",
    "#4363d8",
    "#f58231",
    "#911eb4",
    "#008080",
    "#9a6324",
    "#808000",
    "#000075",
    "#f032e6",
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .75rem; text-align: right }
th { border-bottom: 2px solid #888 } td { border-bottom: 1px solid #ddd } .name { text-align: left }
figure { display: inline-block; margin: 0 .75rem .75rem 0; vertical-align: top; width: 360px }
figcaption { font-size: 12px; overflow-wrap: anywhere } svg { display: block; width: 100%; height: auto }
.warning { color: #a15c00 }
"""


def write_page(described: Description, path: Path) -> None:
    """Write the page, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(_page(described))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _page(described: Description) -> Iterator[str]:
    dataset = described.dataset
    title = escape(dataset.name)
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>\n'
    yield f"<h1>{title}</h1><p>{escape(dataset.source)}<br>fingerprint <code>{dataset.fingerprint}</code></p>\n"
    for kind, lines in (
        ("warning", described.warnings()),
        ("note", dataset.notes),
        ("same picture", described.named),
    ):
        for line in lines:
            yield f'<p class="{kind.split()[0]}">{kind}: {escape(line)}</p>\n'
    yield _table(
        ("part", "images", "without boxes", "boxes", "most in an image"),
        [
            (name, part.images, part.empty, part.boxes, part.most_boxes)
            for name, part in described.parts.items()
        ],
    )
    bins = [name for name, _, _ in (*SIZES, *SHAPES)]
    yield _table(
        ("class", "part", "id", "images", "boxes", *bins),
        [
            (
                name, part_name, label, part.images_by_class[name], part.by_class[name],
                *(part.by_size[f"{name} {each}"] for each, _, _ in SIZES),
                *(part.by_shape[f"{name} {each}"] for each, _, _ in SHAPES),
            )
            for label, name in enumerate(dataset.classes, 1)
            for part_name, part in described.parts.items()
        ],
    )  # fmt: skip
    for name, part in dataset.parts.items():
        yield f"<h2>{escape(name)}</h2>\n"
        for record in _samples(part.files, part.images):
            yield _figure(record, dataset)
    yield "</html>\n"


def _table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    def cells(tag: str, row: tuple[object, ...]) -> str:
        names = [' class="name"' if isinstance(value, str) else "" for value in row]
        return "".join(
            f"<{tag}{name}>{escape(str(value))}</{tag}>" for name, value in zip(names, row, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    return f"<table><tr>{cells('th', columns)}</tr>\n{body}</table>\n"


def _samples(files: tuple[Path, ...], images: int) -> Iterator[Record]:
    """Some records from all over the files, the same each time."""
    chosen = set(sorted(range(images), key=lambda index: rank(str(index)))[:_SAMPLES])
    for index, record in enumerate(read_records(files)):
        if index in chosen:
            yield record


def _figure(record: Record, dataset: Dataset) -> str:
    with Image.open(BytesIO(record.image)) as image:
        image.thumbnail((_WIDTH * 2, _WIDTH * 2))
        small = BytesIO()
        image.convert("RGB").save(small, "JPEG", quality=80)
    data = base64.b64encode(small.getvalue()).decode()
    width, height = record.width, record.height
    drawn = [f'<image href="data:image/jpeg;base64,{data}" width="{width}" height="{height}"/>']
    line, size = max(width, height) / 250, max(width, height) / 28
    for (ymin, xmin, ymax, xmax), label in zip(record.pixel_boxes().tolist(), record.labels, strict=True):
        colour = _COLOURS[(label - 1) % len(_COLOURS)]
        drawn.append(
            f'<rect x="{xmin:.1f}" y="{ymin:.1f}" width="{xmax - xmin:.1f}" height="{ymax - ymin:.1f}" fill="none" '
            f'stroke="{colour}" stroke-width="{line:.1f}"/><text x="{xmin:.1f}" y="{max(ymin - line, size):.1f}" '
            f'font-size="{size:.1f}" fill="{colour}">{escape(dataset.classes[label - 1])}</text>'
        )
    svg = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(record.name)}">{"".join(drawn)}</svg>'
    return f"<figure>{svg}<figcaption>{escape(record.name)} ({width}x{height})</figcaption></figure>\n"
