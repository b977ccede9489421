"""Search spaces: one module per `--space`, and the registry of all of them.

To add a space, call `register`, or add a module with a `SPACE` and its name to DETECTORS, OPTIONAL or SEGMENTERS. The
tests of all spaces then cover it.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainers.errors import UserError

if TYPE_CHECKING:
    from search_spaces.space import Space

DETECTORS = ("retinanet", "mobilenet", "efficientdet")  # spaces of one detector each; `all` combines them
OPTIONAL = ("faster_rcnn", "faster_rcnn_101")  # likewise, but `all` has them on request only: `all+NAME`
FAMILIES = ("retinanet_family",)  # spaces of detectors that are put together from parts; not in `all`
SEGMENTERS = (
    "follow_me",
    "unet",
    "segmenters",
)  # spaces of segmentation models; the last combines the others
MODULES = {name: f"search_spaces.{name}" for name in (*DETECTORS, "all")}
MODULES |= {name: f"search_spaces.two_stage.{name}" for name in OPTIONAL}
MODULES |= {name: f"search_spaces.families.{name}" for name in FAMILIES}
MODULES |= {name: f"search_spaces.segmenters.{name}" for name in SEGMENTERS}
_registered: dict[str, Space] = {}


def register(space: Space) -> Space:
    """Register a space under its name, for `--space`, and return it. Raises UserError if another has that name."""
    if space.name in MODULES or _registered.get(space.name, space) is not space:
        raise UserError(f"two spaces are called '{space.name}'; rename one of them")
    return _registered.setdefault(space.name, space)


def names() -> tuple[str, ...]:
    """The names of all spaces: the possible values of `--space`."""
    return (*MODULES, *_registered)


def get(name: str) -> Space:
    """The space called `name`; "all+NAME" is `all` joined by one of OPTIONAL.

    Raises UserError, with similar names, if there is none.
    """
    if name in _registered:
        return _registered[name]
    first, *added = name.split("+")
    if first == "all" and added:
        return _all_with(tuple(added))
    if name not in MODULES:
        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names())}"
        raise UserError(f"unknown space '{name}'; {hint}")
    space: Space = importlib.import_module(MODULES[name]).SPACE
    return space


def joined(space: str, added: Sequence[str]) -> str:
    """The name of `space` together with the spaces `added`, for --with. Raises UserError unless they can be joined."""
    if not added:
        return space
    if space != "all":
        raise UserError(f"--with is for --space all, not {space}")
    return get("+".join((space, *dict.fromkeys(added)))).name


@functools.cache
def _all_with(added: tuple[str, ...]) -> Space:
    for name in added:
        if name not in OPTIONAL:
            raise UserError(f"--with {name}: not one that can join all; known are {', '.join(OPTIONAL)}")
    if len(set(added)) < len(added):
        raise UserError(f"all+{'+'.join(added)}: names a space twice")
    space: Space = importlib.import_module(MODULES["all"]).with_spaces(added)
    return space
