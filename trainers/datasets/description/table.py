"""Prints a description as tables in the terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainers.datasets.description.description import SHAPES, SIZES, Description, PartDescription


def tables(described: Description) -> RenderableType:
    """All counts, notes and warnings."""
    dataset = described.dataset
    head = Text(f"{dataset.name}  fingerprint {dataset.fingerprint[:12]}\n", style="bold")
    blocks: list[RenderableType] = [head, _parts(described), _classes(described)]
    blocks += [Text(f"note: {note}") for note in dataset.notes]
    blocks += [Text(f"warning: {warning}", style="yellow") for warning in described.warnings()]
    blocks += [Text(f"  duplicate: {each}") for each in described.duplicate_pairs]
    return Group(*blocks)


def _parts(described: Description) -> Table:
    table = Table(title="parts", title_justify="left")
    for column in ("part", "images", "without boxes", "boxes", "boxes/image", "max", "size in pixels"):
        table.add_column(column, justify="left" if column in ("part", "size in pixels") else "right")
    for name, part in described.parts.items():
        mean = f"{part.boxes / part.images:.1f}" if part.images else "-"
        numbers = (part.images, part.empty, part.boxes)
        table.add_row(name, *map(str, numbers), mean, str(part.most_boxes), _pixels(part))
    return table


def _pixels(part: PartDescription) -> str:
    common = ", ".join(f"{size} ({count})" for size, count in part.pixels.most_common(3))
    more = len(part.pixels) - 3
    return f"{common}, {more} more" if more > 0 else common


def _classes(described: Description) -> Table:
    table = Table(title="boxes by class", title_justify="left")
    table.add_column("id", justify="right")
    table.add_column("class")
    table.add_column("part")
    bins = [name for name, _, _ in (*SIZES, *SHAPES)]
    for column in ("images", "boxes", *bins):
        table.add_column(column, justify="right")
    for label, name in enumerate(described.dataset.classes, 1):
        for index, (part_name, part) in enumerate(described.parts.items()):
            counted = [part.by_size[f"{name} {each}"] for each, _, _ in SIZES]
            counted += [part.by_shape[f"{name} {each}"] for each, _, _ in SHAPES]
            first = (str(label), Text(name)) if index == 0 else ("", "")
            numbers = (part.images_by_class[name], part.by_class[name], *counted)
            table.add_row(*first, part_name, *map(str, numbers))
    return table


def show(described: Description, console: Console) -> None:
    """Print the tables."""
    console.print(tables(described))
