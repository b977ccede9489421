"""From a detector of other classes, a trial takes all but the classes' outputs, and those of the classes they share."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from trainers import model as models
from trainers import recipe
from trainers.object_detection_api import compat, pipeline_config
from trainers.object_detection_api.checkpoints import weights
from trainers.object_detection_api.checkpoints.class_names import COCO, class_names
from trainers.recipe import InitialWeights

OWN = ("pedestrian", "tram", "car")
KNOWN = {1: "car", 2: "kite", 3: "person", 4: "boat"}


def detector(name: str, classes: int, seed: int) -> Any:
    compat.install()
    from trainers.object_detection_api.model import DetectionModel

    made = recipe.build({"model": name, **models.get(name).presets["laptop"]})
    built = DetectionModel(pipeline_config.model_proto(made, classes), made.image_size)
    built.initialize(seed)
    for layer in built.architecture.class_layers(built.model).values():
        bias = layer.variables[-1]
        bias.assign(np.arange(bias.shape[0]) + 1000.0 * seed)
    return built


def class_outputs(built: Any, classes: int) -> list[np.ndarray]:
    """Of the variables of the last layer that have one part for each class: (..., anchors, 1 + classes)."""
    (layer,) = built.architecture.class_layers(built.model).values()
    values = [variable.numpy() for variable in layer.variables]
    return [
        value.reshape(*value.shape[:-1], -1, classes + 1) for value in values if value.shape[-1] % (classes + 1) == 0
    ]  # fmt: skip


def of_classes(variable: Any) -> bool:
    return "ClassPredictor" in variable.name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet", pytest.param("retinanet", marks=pytest.mark.long)])
def test_boxes_and_shared_classes_are_taken_over_and_other_classes_are_not(name: str, tmp_path: Path):
    compat.install()
    import tensorflow as tf

    from trainers.object_detection_api.checkpoints.checkpoint import initialize_from

    there, here, fresh = (detector(name, *of) for of in ((4, 1), (3, 2), (3, 2)))
    prefix = Path(tf.train.Checkpoint(model=there.model).save(str(tmp_path / "ckpt")))
    assert (weights.resolve(str(prefix), name).part, weights.resolve(str(prefix), name).classes) == (
        "boxes",
        (),
    )
    items = " ".join(f'item {{ id: {number} name: "{known}" }}' for number, known in KNOWN.items())
    (tmp_path / "label_map.pbtxt").write_text(items)
    start = weights.resolve(str(prefix), name)
    assert start.classes == tuple(KNOWN.values())
    from_it = InitialWeights(source=start.source, part="boxes")
    initialize_from(SimpleNamespace(detector=here), prefix, from_it, OWN)  # type: ignore[arg-type]

    for own, theirs in zip(here.variables, there.variables, strict=True):
        if not of_classes(own):
            np.testing.assert_array_equal(own.numpy(), theirs.numpy(), err_msg=own.name)
    for own, theirs, before in zip(
        class_outputs(here, 3), class_outputs(there, 4), class_outputs(fresh, 3), strict=True
    ):
        for mine, its in ((0, 0), (1, 3), (3, 1)):  # the background, pedestrian of person, car
            np.testing.assert_array_equal(own[..., mine], theirs[..., its])
        np.testing.assert_array_equal(own[..., 2], before[..., 2])  # there is no tram there


def test_published_weights_know_cocos_classes():
    assert class_names("zoo", Path("ckpt-0")) == COCO
    assert (len(COCO), max(COCO)) == (80, 90)
    assert (COCO[1], COCO[3], COCO[44], COCO[90]) == ("person", "car", "bottle", "toothbrush")
