"""The part, train, validation or test, that the folders of a file state."""

from __future__ import annotations

from pathlib import Path

_PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "eval", "dev"),
    "test": ("test", "testing"),
}


def part_of(path: Path, root: Path) -> str | None:
    """The part that a folder or file name states, as in `images/val/1.jpg` or `train.tfrecord-00000-of-00002`."""
    for name in (*reversed(path.relative_to(root).parts[:-1] if path != root else ()), path.name):
        words = name.lower().replace("-", " ").replace("_", " ").replace(".", " ").split()
        for part, spellings in _PARTS.items():
            if any(word.rstrip("0123456789") in spellings for word in words):
                return part
    return None
