"""The page of a selection: each picked image with what the detector sees in it, and why it was picked."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tuning.selection.picking import Picked
from tuning.selection.scored import Scored
from tuning.selection.scoring import picture_of, pixels_of
from tuning.selection.strategy import LEAST_SCORE, Strategy

WIDTH = 280  # pixels of a picture
SHOWN = 300  # images; a page of more would be too large for a browser
DOUBTS = 3  # boxes that are described
_SURE, _UNSURE = (40, 200, 80), (255, 170, 0)

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 1.2em; }
figure { margin: 0; } img { width: 100%; height: auto; } figcaption { overflow-wrap: anywhere; }
"""


def write(
    file: Path,
    pool: Path,
    images: Sequence[tuple[Picked, Scored]],
    classes: tuple[str, ...],
    strategy: Strategy,
    threshold: float,
) -> None:
    """Write the page, which needs no other file."""
    figures = (
        _figure(rank, pool, *each, classes, strategy, threshold) for rank, each in enumerate(images, 1)
    )
    left = f"<p>The first {SHOWN} are shown.</p>" if len(images) > SHOWN else ""
    with file.open("w", encoding="utf-8") as out:
        out.write(
            '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Images to label</title>'
            f"<style>{_STYLE}</style>\n<h1>{len(images)} images to label</h1>\n"
            f"<p>Picked by {escape(strategy.title)} ({escape(strategy.source)}). Boxes with a score of at least "
            f"{threshold:.2f}, in green, are in the pre-annotations; the others, in orange, are not.</p>{left}\n<main>\n"
        )
        for _, figure in zip(range(SHOWN), figures, strict=False):
            out.write(figure)
        out.write("</main></html>\n")


def _figure(
    rank: int,
    pool: Path,
    picked: Picked,
    scored: Scored,
    classes: tuple[str, ...],
    strategy: Strategy,
    threshold: float,
) -> str:
    why = f"{strategy.title}: {picked.score:.2f} {strategy.unit}"
    if strategy.name == "random":
        why = "picked at random"
    skipped = f"; {picked.skipped} images before it look like picked ones" if picked.skipped else ""
    found = scored.found.above(LEAST_SCORE)
    unsure = np.argsort(np.abs(found.scores - 0.5))[:DOUBTS]
    boxes = ", ".join(f"{classes[found.classes[i]]} {found.scores[i]:.2f}" for i in unsure)
    name = escape(scored.name)
    return (
        f'<figure><img alt="{name}" src="data:image/jpeg;base64,{_picture(pool, scored, threshold)}">'
        f"<figcaption><b>{rank}. {name}</b><br>{escape(why + skipped)}<br>"
        f"{len(found.boxes)} boxes{escape('; least sure: ' + boxes) if boxes else ''}</figcaption></figure>\n"
    )


def _picture(pool: Path, scored: Scored, threshold: float) -> str:
    image = Image.fromarray(pixels_of(picture_of((pool / scored.name).read_bytes())))
    image.thumbnail((WIDTH, 2 * WIDTH))
    draw = ImageDraw.Draw(image)
    found = scored.found.above(LEAST_SCORE)
    for box, score in zip(found.boxes.clip(0, 1), found.scores, strict=True):
        ymin, xmin, ymax, xmax = box * np.array([image.height, image.width] * 2)
        draw.rectangle(
            [xmin, ymin, max(xmin, xmax), max(ymin, ymax)], outline=_SURE if score >= threshold else _UNSURE
        )
    file = BytesIO()
    image.save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode()
