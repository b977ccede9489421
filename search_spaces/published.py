"""Published training runs of detectors: the type, and the settings that several of them share.

The runs of each detector are in the module of its space. Each is as its author ran it (640 px, COCO weights, their
batch size and steps), with the result they report. Where an author did not publish a value, `assumed` says which one
is used. Runs without a published learning rate are left out (three by eslam69).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.branch import Published, recipe_of
from search_spaces.parts.parameters import significant

FLIP = {"name": "random_horizontal_flip"}
CROP = {
    "name": "random_crop_image",
    "options": {
        "min_object_covered": 0.0,
        "min_aspect_ratio": 0.75,
        "max_aspect_ratio": 3.0,
        "min_area": 0.75,
        "max_area": 1.0,
        "overlap_thresh": 0.0,
    },
}
SCALE_CROP = {
    "name": "random_scale_crop_and_pad_to_square",
    "options": {"output_size": 640, "scale_min": 0.1, "scale_max": 2.0},
}
BLACK_PATCHES = {
    "name": "random_black_patches",
    "options": {"max_black_patches": 10, "size_to_image_ratio": 0.1},
}
EXPERIMENT_AUGMENTATIONS = (
    FLIP,
    {"name": "random_image_scale", "options": {"min_scale_ratio": 0.8, "max_scale_ratio": 2.2}},
    {"name": "random_adjust_brightness", "options": {"max_delta": 0.2}},
    {"name": "random_adjust_contrast", "options": {"min_delta": 0.7, "max_delta": 1.1}},
    {"name": "random_adjust_hue", "options": {"max_delta": 0.01}},
    {"name": "random_adjust_saturation", "options": {"min_delta": 0.75, "max_delta": 1.15}},
    {"name": "random_rgb_to_gray", "options": {"probability": 0.3}},
)
PHOTOMETRIC = tuple(
    {"name": f"random_adjust_{what}"} for what in ("brightness", "contrast", "hue", "saturation")
)
# Adam 5e-4, then 1e-4, 5e-5 and 1e-5 at 2,500, 5,000 and 7,500 of 10,000 steps
EXPERIMENT_SCHEDULE = {
    "kind": "manual_step",
    "base": 5e-4,
    "drops": [{"at": 0.25, "factor": 0.2}, {"at": 0.5, "factor": 0.1}, {"at": 0.75, "factor": 0.02}],
}
# a cosine over 30,000 steps with 500 of warm-up, stopped at step 2,000: practically constant after the warm-up
STOPPED_COSINE = {"kind": "cosine", "base": 0.04, "warmup_rate": 0.001, "warmup": 0.25, "hold": 0.7}
MOMENTUM = {"kind": "momentum", "momentum": 0.9}
ADAM = {"kind": "adam"}
ZOO_COSINE = "schedule not published: the zoo's cosine is assumed"


@dataclass(frozen=True)
class Run:
    """A published training run, at 640 px from COCO weights.

    name: short and unique. who: the author or repository. batch_size, steps, optimizer, schedule, augmentations: as
        in a Recipe. result: as the author reports it. assumed: what was not published, and the value used instead.
    """

    name: str
    who: str
    batch_size: int
    steps: int
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    augmentations: Sequence[Mapping[str, Any]]
    result: str
    assumed: str = ""

    def published(self, model: str) -> Published:
        """The run as a published recipe of the model called `model`."""
        fields = {
            "model": model,
            "image_size": 640,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "augmentations": self.augmentations,
            "weights": {"source": "zoo"},
        }
        source = f"{self.who}: {self.result}" + (f"; {self.assumed}" if self.assumed else "")
        return Published(self.name, source, recipe_of(self.name, fields))


def zoo_cosine(base: float) -> dict[str, Any]:
    """The zoo's cosine for batch 64 (base .04, warm-up from a third of it over .08 of the steps), with another base."""
    return {"kind": "cosine", "base": base, "warmup_rate": significant(base / 3), "warmup": 0.08}


URBAN_2 = "Object Detection in an Urban Environment 2.0"
URBAN = "Object detection in urban environments"
