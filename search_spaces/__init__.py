"""What may vary: one module for each `--space`.

A new space is a module with a `SPACE` and a name in MODULES; the tests of all spaces then hold it to theirs.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

from trainers.errors import UserError

if TYPE_CHECKING:
    from search_spaces.space import Space

MODULES = {name: f"search_spaces.{name}" for name in ("retinanet", "mobilenet", "efficientdet", "all")}


def names() -> tuple[str, ...]:
    """What `--space` takes."""
    return tuple(MODULES)


def get(name: str) -> Space:
    """The space called `name`. Raises UserError, with the names that are close, when there is none."""
    if name not in MODULES:
        near = difflib.get_close_matches(name, MODULES, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(MODULES)}"
        raise UserError(f"unknown space '{name}'; {hint}")
    space: Space = importlib.import_module(MODULES[name]).SPACE
    return space
