"""What may vary: one module for each `--space`.

A new space is a module with a `SPACE` and a name in DETECTORS, or is registered; the tests of all spaces then cover it.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

from trainers.errors import UserError

if TYPE_CHECKING:
    from search_spaces.space import Space

DETECTORS = ("retinanet", "mobilenet", "efficientdet")  # spaces of one detector each, joined in `all`
MODULES = {name: f"search_spaces.{name}" for name in (*DETECTORS, "all")}
_registered: dict[str, Space] = {}


def register(space: Space) -> Space:
    """Make a space known to `--space` by its name and return it. Raises UserError when another has the name."""
    if space.name in MODULES or _registered.get(space.name, space) is not space:
        raise UserError(f"two spaces are called '{space.name}'; rename one of them")
    return _registered.setdefault(space.name, space)


def names() -> tuple[str, ...]:
    """What `--space` takes."""
    return (*MODULES, *_registered)


def get(name: str) -> Space:
    """The space called `name`. Raises UserError, with the names that are close, when there is none."""
    if name in _registered:
        return _registered[name]
    if name not in MODULES:
        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names())}"
        raise UserError(f"unknown space '{name}'; {hint}")
    space: Space = importlib.import_module(MODULES[name]).SPACE
    return space
