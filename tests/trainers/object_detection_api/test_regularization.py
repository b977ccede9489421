"""A recipe's L2 weight is that which the API itself uses, given the same pipeline.config."""

from __future__ import annotations

import pytest

from trainers import model as models
from trainers import recipe as recipes
from trainers.object_detection_api.detector import Detector

pytestmark = pytest.mark.slow(90)


def detectors():
    """The smallest of each family; the others differ in their backbone's depth only."""
    for name, model in models.all_models().items():
        if isinstance(model, Detector):
            yield pytest.param(name, marks=pytest.mark.long) if name.endswith("_101") else name


@pytest.mark.parametrize("name", detectors())
def test_the_weight_scales_what_the_configuration_states_and_no_fixed_weight_of_a_backbone(name):
    from trainers.object_detection_api import compat

    compat.install()
    import tensorflow as tf

    from trainers.object_detection_api import architectures, pipeline_config
    from trainers.object_detection_api.model import DetectionModel

    plain = recipes.build({"model": name, **models.get(name).presets["laptop"]})
    stated = plain.replace(l2=0.003)
    by_api = DetectionModel(pipeline_config.model_proto(stated, 2), plain.image_size)
    config = pipeline_config.model_proto(plain, 2)
    ours = DetectionModel(config, plain.image_size)
    for detector in (by_api, ours):
        detector.initialize(seed=1)
    published = architectures.of(config).l2(config)
    expected = float(tf.add_n(by_api.model.regularization_losses()))
    assert float(ours.regularization_loss(tf.constant(0.003))) == pytest.approx(expected, rel=1e-5)
    assert float(ours.regularization_loss(tf.constant(published))) == pytest.approx(
        float(tf.add_n(ours.model.regularization_losses())), rel=1e-6
    )
