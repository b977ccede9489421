"""The recipes that people published for this task, and the detectors' own: what a search tries first.

Each as its author ran it (640 px, COCO weights, their batch and steps), with the result they report. Where an
author published no value, `source` says what stands in its place. Runs without a learning rate are left out
(eslam69's three).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.parts.parameters import significant
from trainers import detectors, recipe
from trainers.recipe import Recipe

_FLIP = {"name": "random_horizontal_flip"}
_CROP = {
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
_SCALE_CROP = {
    "name": "random_scale_crop_and_pad_to_square",
    "options": {"output_size": 640, "scale_min": 0.1, "scale_max": 2.0},
}
_BLACK_PATCHES = {
    "name": "random_black_patches",
    "options": {"max_black_patches": 10, "size_to_image_ratio": 0.1},
}
_EXPERIMENT_AUGMENTATIONS = (
    _FLIP,
    {"name": "random_image_scale", "options": {"min_scale_ratio": 0.8, "max_scale_ratio": 2.2}},
    {"name": "random_adjust_brightness", "options": {"max_delta": 0.2}},
    {"name": "random_adjust_contrast", "options": {"min_delta": 0.7, "max_delta": 1.1}},
    {"name": "random_adjust_hue", "options": {"max_delta": 0.01}},
    {"name": "random_adjust_saturation", "options": {"min_delta": 0.75, "max_delta": 1.15}},
    {"name": "random_rgb_to_gray", "options": {"probability": 0.3}},
)
_PHOTOMETRIC = tuple(
    {"name": f"random_adjust_{what}"} for what in ("brightness", "contrast", "hue", "saturation")
)
# Adam 5e-4, then 1e-4, 5e-5 and 1e-5 at 2,500, 5,000 and 7,500 of 10,000 steps
_EXPERIMENT_SCHEDULE = {
    "kind": "manual_step",
    "base": 5e-4,
    "drops": [{"at": 0.25, "factor": 0.2}, {"at": 0.5, "factor": 0.1}, {"at": 0.75, "factor": 0.02}],
}
# cosine over 30,000 steps, warm-up 500, stopped at 2,000: as good as held at its base to the end
_STOPPED_COSINE = {"kind": "cosine", "base": 0.04, "warmup_rate": 0.001, "warmup": 0.25, "hold": 0.7}
_MOMENTUM = {"kind": "momentum", "momentum": 0.9}
_ADAM = {"kind": "adam"}
_ZOO_COSINE = "schedule not published: the zoo's cosine"


@dataclass(frozen=True)
class Published:
    """A recipe with a name for people and its source: who, the result, and what they did not publish."""

    name: str
    source: str
    recipe: Recipe


@dataclass(frozen=True)
class _Run:
    name: str
    who: str
    detector: str
    batch_size: int
    steps: int
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    augmentations: Sequence[Mapping[str, Any]]
    result: str
    assumed: str = ""


def _zoo_cosine(base: float) -> dict[str, Any]:
    """RetinaNet50's in the zoo (.04, from a third of it, over the first .08 of steps) with another base."""
    return {"kind": "cosine", "base": base, "warmup_rate": significant(base / 3), "warmup": 0.08}


_URBAN_2 = "Object Detection in an Urban Environment 2.0"
_URBAN = "Object detection in urban environments"

_RUNS = (
    _Run(
        "urban-2 experiment 2", f"{_URBAN_2}, experiment 2", "retinanet", 8, 10_000,
        _ADAM, _EXPERIMENT_SCHEDULE, _EXPERIMENT_AUGMENTATIONS, "mAP .138, mAP50 .266",
    ),
    _Run(
        "peryaudo", "peryaudo/nd013-c1-vision-starter", "retinanet", 2, 25_000,
        _MOMENTUM, _zoo_cosine(0.001), (_FLIP, *_PHOTOMETRIC, _BLACK_PATCHES), "mAP .183, mAP50 .358",
        f"{_ZOO_COSINE}; strengths not published: the API's",
    ),
    _Run(
        "zorian-f", "zorian-f/nd013-c1-vision-solution", "retinanet", 5, 25_000,
        _MOMENTUM, _zoo_cosine(0.004), (_FLIP, _CROP), "mAP .170, mAP50 .339",
        f"{_ZOO_COSINE}; augmentations not published: the zoo's",
    ),
    _Run(
        "skywall", "skywall/nd013-c1-vision-starter", "retinanet", 4, 25_000,
        _ADAM, {"kind": "manual_step", "base": 1e-3, "drops": [{"at": 0.6, "factor": 0.1}]}, (_FLIP, _CROP),
        "mAP .163", "assumed: a drop to a tenth at 15,000, where its curve jumps; augmentations the zoo's",
    ),
    _Run(
        "urban retinanet", _URBAN, "retinanet", 8, 2_000, _MOMENTUM, _STOPPED_COSINE,
        (_FLIP, _CROP, {"name": "random_adjust_brightness", "options": {"max_delta": 0.05}}, _BLACK_PATCHES),
        "mAP not given",
    ),
    _Run(
        "urban-2 experiment 1", f"{_URBAN_2}, experiment 1", "mobilenet", 8, 10_000,
        _ADAM, _EXPERIMENT_SCHEDULE, _EXPERIMENT_AUGMENTATIONS, "mAP .128, mAP50 .262",
    ),
    _Run(
        "urban mobilenet", _URBAN, "mobilenet", 8, 2_000, _MOMENTUM, _STOPPED_COSINE,
        (_FLIP, _CROP, {"name": "random_adjust_brightness", "options": {"max_delta": 0.05}}, _BLACK_PATCHES),
        "mAP not given",
    ),
    _Run(
        "urban-2 baseline", f"{_URBAN_2}, baseline", "efficientdet", 8, 2_000, _MOMENTUM,
        {"kind": "cosine", "base": 0.08, "warmup_rate": 0.001, "warmup": 0.1}, (_FLIP, _SCALE_CROP),
        "mAP .079, mAP50 .200", "warm-up not published: a tenth of the steps",
    ),
)  # fmt: skip


def recipes(detector: str, preset: str) -> list[Published]:
    """The preset's own default first, then the zoo's, then what people published with this detector."""
    known = detectors.get(detector)
    zoo = Published(
        f"zoo {detector}",
        f"the TensorFlow 2 detection model zoo's training on COCO 2017 ({known.zoo_archive})",
        _build(f"zoo {detector}", {"detector": detector, **known.zoo_defaults}),
    )
    laptop = Published(
        f"laptop {detector}",
        f"{known.title} from scratch in minutes on a CPU, on the toy city",
        _build(f"laptop {detector}", {"detector": detector, **known.laptop_defaults}),
    )
    people = [_published(run) for run in _RUNS if run.detector == detector]
    return [laptop, zoo, *people] if preset == "laptop" else [zoo, *people]


def _published(run: _Run) -> Published:
    fields = {
        "detector": run.detector,
        "image_size": 640,
        "batch_size": run.batch_size,
        "steps": run.steps,
        "optimizer": run.optimizer,
        "schedule": run.schedule,
        "augmentations": run.augmentations,
        "weights": {"source": "zoo"},
    }
    source = f"{run.who}: {run.result}" + (f"; {run.assumed}" if run.assumed else "")
    return Published(run.name, source, _build(run.name, fields))


def _build(name: str, fields: Mapping[str, Any]) -> Recipe:
    return recipe.build(dict(fields), where=f"published recipe '{name}'")
