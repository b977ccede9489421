"""Backbones compute what tf_keras.applications computes with the same variables, and know their layers' depths."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.errors import UserError
from trainers.object_detection_api.pyramid.backbones import BACKBONES

pytestmark = pytest.mark.slow(25)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, [2, 64, 64, 3]).astype(np.float32)


def settings_of(name: str, tiny: bool) -> dict:
    """Of the backbone, or of one with its blocks and fewer of them."""
    settings = dict(BACKBONES[name].settings)
    if tiny and settings:
        settings |= {"blocks": (1, 2, 1, 1)} | ({"widths": (8, 16, 24, 32)} if "widths" in settings else {})
    return settings


def ours(name: str, tiny: bool):
    import dataclasses

    from trainers.object_detection_api.pyramid.backbones.networks.drop_path import DropPathState

    backbone = dataclasses.replace(BACKBONES[name], settings=settings_of(name, tiny))
    return backbone.build(DropPathState())


def theirs_with_values(name: str, tiny: bool):
    """The tf_keras model, with values that also differ where they are constant at first."""
    from trainers.object_detection_api.pyramid.backbones.networks.published import network_of

    made, draw = network_of(settings_of(name, tiny), (64, 64, 3)), np.random.default_rng(7)
    for variable in made.variables:
        drawn = draw.normal(0, 0.3 / max(1.0, np.prod(variable.shape[:-1]) ** 0.5), variable.shape)
        variable.assign(np.abs(drawn) + 1.0 if variable.name.endswith(("gamma:0", "variance:0")) else drawn)
    return made


def compare(name: str, images: np.ndarray, tiny: bool) -> None:
    import tf_keras

    from trainers.object_detection_api.pyramid.backbones.networks import published

    theirs, own = theirs_with_values(name, tiny), ours(name, tiny)
    published.copy(theirs, own)
    if name.startswith("convnext"):  # before the normalisations that only one of the two has
        outputs = [own.get_layer(f"out_norm_{stage}").input for stage in (1, 2, 3)]
        after = [theirs.get_layer(f"convnext_downsampling_block_{i}") for i in (1, 2)] + [theirs.layers[-1]]
        wanted = [layer.inbound_nodes[-1].input_tensors for layer in after]
    else:
        outputs = own.outputs
        wanted = [theirs.get_layer(output.name.split("/")[0]).output for output in outputs]
    expected = tf_keras.Model(theirs.inputs, wanted)(images)
    found = tf_keras.Model(own.inputs, outputs)(images)
    for one, other, stride in zip(found, expected, (8, 16, 32), strict=True):
        assert one.shape[1:3] == (64 // stride, 64 // stride)
        largest = float(np.abs(other).max())
        assert largest > 1e-3
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * largest)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "resnext101", "convnext_tiny"])
def test_it_computes_what_tf_keras_computes_with_the_same_variables(name, images):
    compare(name, images, tiny=True)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "mobilenet_v2"])
def test_at_its_full_depth_it_computes_what_tf_keras_computes(name, images):
    compare(name, images, tiny=False)


@pytest.mark.long
@pytest.mark.parametrize("name", list(BACKBONES))
def test_its_variables_are_as_many_as_it_says_and_each_has_a_depth(name):
    backbone = BACKBONES[name]
    network = ours(name, tiny=False)
    of_detection = [v for v in network.variables if backbone.depth(v.name) > backbone.layers]
    count = sum(v.shape.num_elements() for v in network.variables)
    assert count - sum(v.shape.num_elements() for v in of_detection) == backbone.parameters
    depths = {backbone.depth(v.name) for v in network.variables} - {backbone.layers + 1}
    assert depths == set(range(backbone.layers + 1))


def test_depths_are_those_of_convnexts_authors():
    expected = {
        "stem_conv/kernel:0": 0, "stage_0_block_2_layernorm/gamma:0": 1, "downsampling_conv_0/kernel:0": 2,
        "stage_1_block_0_layernorm/gamma:0": 2, "downsampling_layernorm_1/gamma:0": 3,
        "stage_2_block_2_pointwise_conv_1/bias:0": 3, "stage_2_block_3_pointwise_conv_1/bias:0": 4,
        "stage_2_block_26_pointwise_conv_1/bias:0": 11, "downsampling_conv_2/kernel:0": 12,
        "stage_3_block_0_layer_scale/gamma:0": 12,
    }  # fmt: skip
    backbone = BACKBONES["convnext_small"]
    assert {name: backbone.depth(f"convnext_{name}") for name in expected} == expected
    assert backbone.depth("out_norm_3/gamma:0") == 13
    assert BACKBONES["convnext_tiny"].depth("convnext_stage_3_block_0_layernorm/beta:0") == 6


def test_drop_path_drops_whole_images_keeps_the_mean_and_is_the_same_for_the_same_step():
    import tensorflow as tf

    from trainers.object_detection_api.pyramid.backbones.networks.drop_path import DropPath, DropPathState

    state = DropPathState()
    layer, ones = DropPath(state, share=0.5), tf.ones([4000, 2, 2])
    state.start_step(rate=0.5, seed=3, step=9)
    drawn = layer(ones, training=True).numpy()
    np.testing.assert_allclose(np.unique(drawn), [0.0, 1 / 0.75])
    assert np.all(drawn == drawn[:, :1, :1])
    assert drawn.mean() == pytest.approx(1.0, abs=0.03)
    np.testing.assert_array_equal(layer(ones, training=True), drawn)
    state.start_step(rate=0.5, seed=3, step=10)
    assert not np.array_equal(layer(ones, training=True), drawn)
    np.testing.assert_array_equal(layer(ones, training=False), ones)
    assert not layer.variables  # of a recipe, not of a checkpoint


def test_an_unknown_backbone_is_refused_with_the_known():
    with pytest.raises(UserError, match=r"^unknown backbone 'vgg16'; known are mobilenet_v2, resnet50, "):
        BACKBONES["vgg16"]
