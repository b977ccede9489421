"""From a detector of other classes, a trial takes all but the classes' outputs, and those of the classes they share."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from trainers import model as models
from trainers import recipe
from trainers.errors import UserError
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


def class_outputs(layer: Any, slots: int) -> list[np.ndarray]:
    """Of the layer's variables that have one part for each class: (..., anchors, slots)."""
    values = [variable.numpy() for variable in layer.variables]
    return [
        value.reshape(*value.shape[:-1], -1, slots)
        for value in values
        if value.shape[-1] == layer.bias.shape[0]
    ]


def of_class_layer(variable: Any) -> bool:
    return "ClassPredictor" in variable.name


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["mobilenet", *(pytest.param(name, marks=pytest.mark.long) for name in ("retinanet", "efficientdet"))],
)
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
        if not of_class_layer(own):
            np.testing.assert_array_equal(own.numpy(), theirs.numpy(), err_msg=own.name)
    background = int(name != "efficientdet")
    of_classes = [
        class_outputs(layer, background + classes)
        for built, classes in ((here, 3), (there, 4), (fresh, 3))
        for layer in built.architecture.class_layers(built.model).values()
    ]
    for own, theirs, before in zip(*of_classes, strict=True):
        np.testing.assert_array_equal(own[..., :background], theirs[..., :background])
        for mine, its in ((0, 2), (2, 0)):  # pedestrian of person, car
            np.testing.assert_array_equal(own[..., background + mine], theirs[..., background + its])
        np.testing.assert_array_equal(
            own[..., background + 1], before[..., background + 1]
        )  # there is no tram there


def class_layer(slots: int, seed: int) -> Any:
    """The last layer of a class head with three anchors, as EfficientDet's and MobileNet's: a separable convolution."""
    compat.install()
    import tf_keras

    layer = tf_keras.layers.SeparableConv2D(3 * slots, 3)
    layer.build((None, 4, 4, 2))
    draw = np.random.default_rng(seed)
    layer.set_weights([draw.normal(size=variable.shape) for variable in layer.variables])
    return layer


def saved(layer: Any, folder: Path) -> tuple[Any, Path]:
    import tensorflow as tf

    return layer, Path(tf.train.Checkpoint(head=layer).write(str(folder / "ckpt")))


def taken_over(layer: Any, *args: Any) -> dict[str, str]:
    from trainers.object_detection_api.checkpoints.class_rows import take_over

    return take_over({"head": layer}, *args)


@pytest.mark.parametrize("background", [0, 1])
@pytest.mark.parametrize(
    ("own", "known"),
    [
        (("pedestrian", "tram", "car"), ("car", "kite", "person", "boat")),  # fewer than there
        (("person", "car", "kite"), ("car", "kite", "person")),  # as many, in another order
        (("tram", "car"), ("car", "kite", "person")),
        (("car",), ("kite", "car")),
    ],
)
def test_each_class_gets_the_outputs_of_its_name_with_or_without_outputs_of_a_background(
    background: int, own: tuple[str, ...], known: tuple[str, ...], tmp_path: Path
):
    here, fresh = (class_layer(background + len(own), seed=2) for _ in range(2))
    there, prefix = saved(class_layer(background + len(known), seed=1), tmp_path)
    names = dict(enumerate(known, start=1))
    assert taken_over(here, prefix, own, names, background)

    np.testing.assert_array_equal(here.depthwise_kernel, there.depthwise_kernel)
    layers = ((here, own), (there, known), (fresh, own))
    outputs = [class_outputs(layer, background + len(classes)) for layer, classes in layers]
    for mine, theirs, before in zip(*outputs, strict=True):
        np.testing.assert_array_equal(mine[..., :background], theirs[..., :background])
        for number, name in enumerate(own):
            its = known.index({"pedestrian": "person"}.get(name, name)) if name != "tram" else None
            expected = before[..., background + number] if its is None else theirs[..., background + its]
            np.testing.assert_array_equal(mine[..., background + number], expected)


def test_a_label_map_with_more_ids_than_the_weights_have_outputs_is_refused(tmp_path: Path):
    _, prefix = saved(class_layer(1 + 2, seed=1), tmp_path)
    with pytest.raises(UserError, match=r"predicts 2 classes, but the label map beside it has id 3$"):
        taken_over(class_layer(1 + 1, seed=2), prefix, ["car"], {3: "car"}, 1)


def test_published_weights_know_cocos_classes():
    assert class_names("zoo", Path("ckpt-0")) == COCO
    assert (len(COCO), max(COCO)) == (80, 90)
    assert (COCO[1], COCO[3], COCO[44], COCO[90]) == ("person", "car", "bottle", "toothbrush")
