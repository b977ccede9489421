"""A detector with the zoo's settings has exactly the variables of its published COCO checkpoint."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from zoo_variables import published_variables

from trainers import model as models
from trainers import recipe
from trainers.object_detection_api import compat, pipeline_config
from trainers.object_detection_api import detector as detectors
from trainers.object_detection_api.checkpoints import reading


@pytest.fixture
def freed_memory() -> Iterator[None]:
    """A detector is full of reference cycles, and the next one would come on top of it."""
    yield
    gc.collect()


@pytest.mark.slow
@pytest.mark.usefixtures("freed_memory")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mobilenet", 385),
        ("retinanet", 464),
        ("efficientdet", 876),
        ("faster_rcnn_50", 276),
        pytest.param("faster_rcnn_101", 531, marks=pytest.mark.long),
    ],
)
def test_its_checkpoint_has_the_published_variables(name: str, count: int, tmp_path: Path):
    compat.install()
    import tensorflow as tf

    from trainers.object_detection_api.model import DetectionModel

    published = recipe.build({"model": name, **models.get(name).presets["zoo"]})
    detector = DetectionModel(pipeline_config.model_proto(published, 90), published.image_size)
    prefix = tf.train.Checkpoint(model=detector.model).save(str(tmp_path / "ckpt"))

    shapes = reading.variable_shapes(Path(prefix))
    assert len(shapes) == count
    assert shapes == published_variables(name)
    assert reading.digest(shapes) == detectors.detector(name).zoo_digest


@pytest.mark.slow
@pytest.mark.usefixtures("freed_memory")
def test_every_batch_normalisation_has_the_recipes_decay():
    compat.install()
    from trainers.object_detection_api.model import DetectionModel

    fields = {"model": "efficientdet", **models.get("efficientdet").presets["laptop"]}
    made = recipe.build(fields | {"batch_norm_decay": 0.75})
    detector = DetectionModel(
        pipeline_config.model_proto(made, 3), made.image_size, batch_norm_decay=made.batch_norm_decay
    )
    layers = [layer for layer in detector.model.submodules if hasattr(layer, "moving_variance")]
    # 69 of the backbone, 38 of the pyramid and 30 of the box predictor, which shares its convolutions but not these
    assert len(layers) == 137
    assert {layer.momentum for layer in layers} == {0.75}
