"""Which classes of two data sets are the same, by their names."""

from __future__ import annotations

from collections.abc import Iterable

# names of one kind of object; COCO's name is first
_SYNONYMS = (
    ("person", "pedestrian", "human", "people", "pedestrians", "persons"),
    ("car", "vehicle", "automobile", "cars", "vehicles"),
    ("bicycle", "cyclist", "bike", "bicyclist", "cycle"),
    ("motorcycle", "motor", "motorbike", "motorcyclist"),
    ("truck", "lorry"),
    ("bus", "coach"),
    ("traffic light", "trafficlight", "traffic signal", "tl"),
    ("stop sign", "stopsign"),
)
_FIRST = {name: names[0] for names in _SYNONYMS for name in names}


def same(own: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Own class -> the other's class with its name, or else with a synonym of it. Case, `-` and `_` do not count.

    A class of the others is given to one own class only: to the one with its very name, otherwise to the first.
    """
    theirs = list(others)
    found: dict[str, str] = {}
    for key in (_plain, _meant):
        by_key = {key(name): name for name in reversed(theirs)}
        for name in own:
            other = by_key.get(key(name))
            if name not in found and other is not None and other not in found.values():
                found[name] = other
    return found


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _meant(name: str) -> str:
    return _FIRST.get(_plain(name), _plain(name))
