"""Structure: which parts a detector is put together from, as the text that its `pipeline.config` carries."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

PREFIX = "pyramid"  # of the type of a feature extractor in the DetectionModel proto


@dataclass(frozen=True)
class Structure:
    """The parts of one detector.

    backbone, neck, head: names of registered parts. channels: of the neck's feature maps. levels: their number, from P3
    on. pathways: of a neck that has several. extra_levels: what the levels above P5 are made of, "c5" or "p5".
    box_loss: "smooth_l1" or "l1".
    """

    backbone: str
    neck: str
    head: str
    channels: int
    levels: int
    pathways: int
    extra_levels: str
    box_loss: str

    @property
    def text(self) -> str:
        """`pyramid:backbone=resnet50,neck=fpn,...`, the type of its feature extractor."""
        return f"{PREFIX}:" + ",".join(f"{name}={value}" for name, value in asdict(self).items())


def is_structure(text: str) -> bool:
    """Whether a feature extractor's type is the text of a Structure."""
    return text.startswith(f"{PREFIX}:")


def parse(text: str) -> Structure:
    """The structure that has this text."""
    given: dict[str, Any] = dict(pair.split("=") for pair in text.partition(":")[2].split(","))
    numbers = {each.name: int(given[each.name]) for each in fields(Structure) if each.type == "int"}
    return Structure(**given | numbers)
