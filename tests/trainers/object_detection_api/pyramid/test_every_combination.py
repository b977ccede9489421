"""The contract of a trial, held by every backbone, neck and head together: train, evaluate, save, export, detect.

It takes a minute or two for each, so it runs in `make long`; in `make test`, each head takes a step with one neck.
"""

from __future__ import annotations

import itertools
import math
import shutil

import numpy as np
import pytest

from trainers import recipe as recipes
from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.heads import HEADS
from trainers.object_detection_api.pyramid.necks import NECKS

SMALL = {
    "model": "retinanet_family", "image_size": 96, "batch_size": 2, "steps": 10, "channels": 16, "pathways": 3,
    "optimizer": {"kind": "adamw"}, "schedule": {"kind": "constant", "base": 1e-4},
    "augmentations": [{"name": "random_horizontal_flip"}], "batch_norm_decay": 0.9, "seed": 5,
    "train_sizes": [64, 96], "layer_decay": 0.8, "gradient_clip": 10.0, "averaging": 0.9,
}  # fmt: skip
COMBINATIONS = list(itertools.product(BACKBONES, NECKS, HEADS))


@pytest.fixture(scope="module")
def small_trainer(tiny_city):
    from trainers.object_detection_api import compat

    compat.install()
    from trainers.object_detection_api.graphs import Graphs
    from trainers.object_detection_api.trainer import DetectorTrainer

    return DetectorTrainer(tiny_city, graphs=Graphs(most=1))


@pytest.mark.long
@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_it_trains_resumes_evaluates_exports_and_detects(small_trainer, combination, tmp_path):
    from trainers.detection.exported_detector import ExportedDetector

    backbone, neck, head = combination
    drops = 0.3 if BACKBONES[backbone].drop_path else 0.0
    made = recipes.build(SMALL | {"backbone": backbone, "neck": neck, "head": head, "drop_path": drops})
    trainer = small_trainer
    trainer.start(made)
    first = trainer.train(2).losses
    assert {"classification", "localization", "regularization", "total"} == set(first)
    assert all(math.isfinite(value) for values in first.values() for value in values)
    trainer.save(tmp_path / "checkpoint").result()
    further = trainer.train(4).losses["total"]
    metrics = trainer.evaluate()
    assert 0 <= metrics.values["mAP"] <= 1
    trainer.start(made, tmp_path / "checkpoint")  # on the graph that it has, as a warm worker does
    np.testing.assert_allclose(trainer.train(4).losses["total"], further, rtol=1e-3)
    trainer.start(made)
    np.testing.assert_allclose(trainer.train(2).losses["total"], first["total"], rtol=1e-3)
    trainer.export(tmp_path / "export")  # fails if it is not equal to the trained model
    images = np.random.default_rng(0).integers(0, 255, [2, 96, 96, 3], np.uint8)
    found = ExportedDetector(tmp_path / "export").predict({"images": images})
    assert found["detection_boxes"].shape == (2, 100, 4)
    shutil.rmtree(tmp_path)  # of the largest, 2.5 GB


@pytest.mark.parametrize(
    "neck",
    [pytest.param(neck, marks=pytest.mark.slow(25) if neck == "fpg" else pytest.mark.long) for neck in NECKS],
)
def test_each_head_has_finite_losses_and_moves_every_part(neck):
    from trainers.object_detection_api import compat

    compat.install()
    import tensorflow as tf

    from trainers.object_detection_api import pipeline_config
    from trainers.object_detection_api.graph import blank_batch
    from trainers.object_detection_api.model import DetectionModel, learning_phase

    made = recipes.build(
        SMALL | {"backbone": "mobilenet_v2", "neck": neck, "image_size": 64, "train_sizes": []}
    )
    detector = DetectionModel(pipeline_config.model_proto(made, 3), 64)
    detector.initialize(seed=1)
    model, batch = detector.model, blank_batch(2, 64, 3, 4)
    boxes = np.zeros([2, 4, 4], np.float32)
    boxes[:, 0], boxes[:, 1] = [0.1, 0.1, 0.6, 0.5], [0.5, 0.4, 0.9, 0.95]
    classes, weights = np.zeros([2, 4, 3], np.float32), np.zeros([2, 4], np.float32)
    classes[:, 0, 1], classes[:, 1, 2], weights[:, :2] = 1, 1, 1
    for name, head in HEADS.items():
        with learning_phase(True), tf.GradientTape() as tape:
            model.provide_groundtruth(
                groundtruth_boxes_list=tf.unstack(tf.constant(boxes)),
                groundtruth_classes_list=tf.unstack(tf.constant(classes)),
                groundtruth_weights_list=tf.unstack(tf.constant(weights)),
                is_annotated_list=[tf.constant(True), tf.constant(name != "pisa")],
            )
            images = tf.random.stateless_normal(batch["image"].shape, [1, 2])
            found = head.loss(model, detector.predict(images, batch["true_image_shape"]))
            total = tf.add_n(list(found.values()))
        assert set(found) == {"Loss/classification_loss", "Loss/localization_loss"}
        assert all(float(value) > 0 for value in found.values())
        gradients = tape.gradient(total, detector.trainable_variables)
        parts = {"backbone": 0, "neck": 0, "head": 0}
        for variable, gradient in zip(detector.trainable_variables, gradients, strict=True):
            assert gradient is not None, variable.name
            assert np.all(np.isfinite(gradient)), variable.name
            inside = [part for part, of in _variables(model).items() if id(variable) in of]
            parts[inside[0] if inside else "head"] += bool(np.any(gradient))
        assert all(parts.values()), (name, parts)


def _variables(model) -> dict[str, set[int]]:
    extractor = model._feature_extractor
    networks = {"backbone": extractor.classification_backbone, "neck": extractor.neck_network}
    return {part: {id(variable) for variable in network.variables} for part, network in networks.items()}
