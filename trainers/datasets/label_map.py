"""Label maps: the `.pbtxt` files that give label ids their class names in the Object Detection API."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainers.datasets.files.paths import read_text
from trainers.errors import UserError

_ITEM = re.compile(r"\bitem\s*:?\s*\{((?:[^{}\"']|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')*)\}")
_FIELD = re.compile(r"(\w+)\s*:\s*(?:\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'|(-?\d+))")


@dataclass(frozen=True)
class LabelMap:
    """names: class names by label id, sorted by id. others: further names of an id, such as its `display_name`."""

    names: Mapping[int, str]
    others: Mapping[int, str] = field(default_factory=dict)

    def means(self, number: int, text: str) -> bool:
        """Whether the class text of a label fits its id, but for case and space; a text may be the id itself too."""
        known = (self.names.get(number), self.others.get(number), str(number))
        return any(name is not None and _folded(name) == _folded(text) for name in known)

    def number_of(self, text: str) -> int | None:
        """The id that a class text means; None if there is none."""
        return next((number for number in self.names if self.means(number, text)), None)


def _folded(name: str) -> str:
    return name.strip().casefold()


def read_label_map(path: Path) -> dict[int, str]:
    """Class names by label id, sorted by id; an item without `name` is known by its `display_name`.

    Raises UserError if the file cannot be read, or an id or name is missing or repeated.
    """
    return dict(load_label_map(path).names)


def load_label_map(path: Path) -> LabelMap:
    """The whole label map. Raises UserError as `read_label_map` does."""
    text = re.sub(r"^\s*#.*$", "", read_text(path), flags=re.MULTILINE)
    names: dict[int, str] = {}
    others: dict[int, str] = {}
    for item in _ITEM.finditer(text):
        fields = {key: _unescaped(a or b) or number for key, a, b, number in _FIELD.findall(item.group(1))}
        name = fields.get("name") or fields.get("display_name")
        if not name or not fields.get("id", "").isdigit() or int(fields["id"]) < 1:
            line = text[: item.start()].count("\n") + 1
            raise UserError(f"{path}:{line}: each item of a label map needs a name and an id of at least 1")
        if int(fields["id"]) in names or name in names.values():
            line = text[: item.start()].count("\n") + 1
            raise UserError(
                f"{path}:{line}: repeated id {fields['id']} or name '{name}'; each class needs its own"
            )
        names[int(fields["id"])] = name
        if other := fields.get("display_name"):
            others[int(fields["id"])] = other
    if not names:
        raise UserError(f"{path}: not a label map: it has no `item {{ id: 1 name: '...' }}`")
    return LabelMap(dict(sorted(names.items())), others)


def write_label_map(path: Path, classes: Sequence[str]) -> None:
    """Write a label map with ids 1..N in the order of `classes`."""
    items = [
        f'item {{\n  id: {number}\n  name: "{_escaped(name)}"\n}}\n' for number, name in enumerate(classes, 1)
    ]
    path.write_text("".join(items), encoding="utf-8")


def remapping_note(names: Mapping[int, str]) -> str | None:
    """A note on how label ids are renumbered to 1..N; None if they already are. `names`: class names by id, sorted."""
    if list(names) == list(range(1, len(names) + 1)):
        return None
    moves = ", ".join(f"{name} {old} -> {new}" for new, (old, name) in enumerate(names.items(), 1))
    return f"label ids remapped by name to 1..{len(names)}: {moves}"


def _escaped(text: str) -> str:
    def one(character: str) -> str:
        if character in '"\\':
            return f"\\{character}"
        if character.isprintable():
            return character
        return "".join(f"\\{byte:03o}" for byte in character.encode())

    return "".join(map(one, text))


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        kind = match.group(1)
        return {"n": "\n", "t": "\t", "r": "\r"}.get(kind, kind)

    octal = re.compile(r"(?:\\[0-7]{3})+")  # protobuf's text format escapes UTF-8 bytes like this
    text = octal.sub(
        lambda m: bytes(int(o, 8) for o in m.group(0).split("\\")[1:]).decode("utf-8", "replace"), text
    )
    return re.sub(r"\\(.)", one, text)
