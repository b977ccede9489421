"""Chooses the label map (`*.pbtxt`) of a source: the one whose names fit the classes that its labels name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets.files.walking import walk
from trainers.datasets.label_map import LabelMap, load_label_map
from trainers.errors import UserError

_ITEM = re.compile(rb"\bitem\s*:?\s*\{")


@dataclass(frozen=True)
class Evidence:
    """What the labels of a source say of its classes.

    texts: class names by label id, "" where an id has none; for labels without ids the keys are below 0.
    """

    texts: Mapping[int, Collection[str]]

    def misfit(self, known: LabelMap) -> str:
        """The first label that a map does not have, for a message; "" if it fits."""
        for number, texts in self.texts.items():
            if number >= 0 and number not in known.names:
                return f"no label {number}"
            for text in texts:
                if text and not (known.means(number, text) if number >= 0 else known.number_of(text)):
                    return f"no '{text}'" + (f" for label {number}" if number >= 0 else "")
        return ""


def label_maps(folder: Path, *, below: bool = True) -> list[Path]:
    """The label maps in a folder, and below it; a .pbtxt file of another kind, such as a graph, is none."""
    found = walk(folder, ".pbtxt") if below else sorted(folder.glob("*.pbtxt"))
    return [file for file in found if _ITEM.search(file.read_bytes())]


def chosen(source: Path, found: list[Path], above: list[Path], evidence: Evidence) -> Path | None:
    """The label map that fits: one of `found`, or if none of these does, of those in the folder `above`.

    None if there are none, or only others above. Raises UserError if several different ones fit, or none of several.
    """
    misfits = []
    for candidates in (found, above):
        maps = [(file, load_label_map(file)) for file in candidates]
        reasons = {file: evidence.misfit(known) for file, known in maps}
        fitting = [(file, known) for file, known in maps if not reasons[file]]
        if fitting and all(known.names == fitting[0][1].names for _, known in fitting):
            return fitting[0][0]
        if fitting:
            names = " and ".join(file.name for file, _ in fitting[:2])
            raise UserError(
                f"{source}: the label maps {names} both fit the labels; keep the one that belongs to them"
            )
        misfits += [f"{file.name} has {reasons[file]}" for file in candidates]
    if len(found) == 1:
        return found[0]  # reading names the labels that it lacks
    if found:
        raise UserError(
            f"{source}: no label map fits the labels: {'; '.join(misfits[:3])}; add the one that does"
        )
    return None
