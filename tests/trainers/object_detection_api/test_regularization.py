"""A recipe's L2 weight is that which the API itself uses, given the same pipeline.config."""

from __future__ import annotations

import pytest

from trainers import model as models
from trainers import recipe as recipes
from trainers.object_detection_api.detector import Detector

pytestmark = pytest.mark.slow(90)


@pytest.mark.parametrize(
    "name", [name for name in models.all_models() if isinstance(models.get(name), Detector)]
)
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
    factor = 0.003 / architectures.of(config).l2(config)
    expected = float(tf.add_n(by_api.model.regularization_losses()))
    assert float(ours.regularization_loss(tf.constant(factor))) == pytest.approx(expected, rel=1e-5)
    assert float(ours.regularization_loss(tf.constant(1.0))) == pytest.approx(
        float(tf.add_n(ours.model.regularization_losses())), rel=1e-6
    )
