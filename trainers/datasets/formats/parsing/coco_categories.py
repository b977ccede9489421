"""The classes of several COCO files: matched by name, without the groups that no annotation uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trainers.datasets.files.parts import plainly_stated
from trainers.datasets.formats.parsing.coco_index import CocoIndex
from trainers.datasets.label_map import remapping_note
from trainers.errors import UserError


def merged(
    files: Sequence[CocoIndex], source: str
) -> tuple[list[Mapping[int, str]], tuple[str, ...], list[str]]:
    """Class names by id for each file; all classes in the order of their label ids 1..N; and notes.

    Raises UserError if a file has two categories of the same name.
    """
    groups = _groups(files)
    names: list[Mapping[int, str]] = []
    for file in files:
        own: dict[int, str] = {}
        for number, category in sorted(file.categories.items()):
            if number in groups and groups[number] == category.name:
                continue
            if category.name in own.values():
                raise UserError(f"{source}: {category.place}: repeated category name '{category.name}'")
            own[number] = category.name
        names.append(own)
    notes = [
        f"category {number} '{name}' is left out: it is the group of others"
        for number, name in groups.items()
    ]
    by_number: dict[int, str] = {}
    agree = all(by_number.setdefault(number, name) == name for own in names for number, name in own.items())
    if agree and len(set(by_number.values())) == len(by_number):
        note = remapping_note(dict(sorted(by_number.items())))
        return (
            names,
            tuple(name for _, name in sorted(by_number.items())),
            [*notes, *([note] if note else [])],
        )
    training_first = sorted(
        range(len(files)), key=lambda index: plainly_stated(files[index].file.name) not in ("train", None)
    )
    classes = dict.fromkeys(name for index in training_first for name in names[index].values())
    where = " and ".join(file.where for file in files[:2])
    notes.append(f"categories are numbered differently in {where}: they are matched by name")
    return names, tuple(classes), notes


def _groups(files: Sequence[CocoIndex]) -> dict[int, str]:
    """Categories that only group others, as Roboflow exports one: by id.

    No annotation of any file uses them, other categories name them as their supercategory, and they have none.
    """
    used = {category for file in files for category in file.used_categories()}
    found: dict[int, str] = {}
    for file in files:
        for number, category in file.categories.items():
            members = [other for key, other in file.categories.items() if key != number]
            if (
                number not in used
                and category.group in ("", "none", category.name)
                and any(other.group == category.name for other in members)
            ):
                found[number] = category.name
    return found
