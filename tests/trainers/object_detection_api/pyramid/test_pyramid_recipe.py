"""The recipe of a detector that is put together from parts: what fits, and what is refused in one line."""

from __future__ import annotations

import pytest

from trainers import model as models
from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.object_detection_api import pipeline_config
from trainers.object_detection_api.pyramid import structure

LAPTOP = {"model": "retinanet_family", **models.get("retinanet_family").presets["laptop"]}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"backbone": "vgg16"}, "backbone: unknown backbone 'vgg16'; known are mobilenet_v2, resnet50, "),
        ({"neck": "bifpn"}, "neck: unknown neck 'bifpn'; known are fpn, fpg"),
        ({"head": "fcos"}, "head: unknown head 'fcos'; known are retina, free_anchor, pisa"),
        ({"neck": "fpg", "levels": 3}, "levels 3: FPG needs at least 4"),
        ({"drop_path": 0.2}, "drop_path 0.2: resnet50 has none; use 0, or one of convnext_tiny, "),
        ({"layer_decay": 1.1}, "layer_decay: must be less than or equal to 1, not 1.1"),
        ({"image_size": 100}, "retinanet_family needs an image size of at least 64 px and a multiple of 32, not 100"),
        ({"train_sizes": [100]}, "retinanet_family needs an image size of at least 64 px and a multiple of 32"),
        ({"train_sizes": [96, 192]}, "train_sizes: 192 is above image_size 160, to which images are read"),
        ({"train_sizes": [96, 96]}, "train_sizes [96, 96]: has a size twice"),
        ({"image_size": 640, "train_sizes": list(range(320, 640, 32))}, "train_sizes: "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(fields, says):
    with pytest.raises(UserError) as refused:
        recipes.build(LAPTOP | fields)
    assert "\n" not in str(refused.value)
    assert says in str(refused.value)


def test_the_published_weights_are_always_of_the_backbone():
    made = recipes.build(LAPTOP | {"weights": {"source": "zoo"}})
    assert made.weights.part == "classification"
    assert recipes.build(LAPTOP | {"weights": {"source": "/mine", "part": "full"}}).weights.part == "full"


def test_a_structure_survives_as_the_text_that_the_configuration_carries():
    made = recipes.build(LAPTOP | {"backbone": "convnext_tiny", "neck": "fpg", "pathways": 3, "levels": 4})
    ssd = pipeline_config.model_proto(made, 7).ssd
    assert ssd.num_classes == 7
    assert structure.is_structure(ssd.feature_extractor.type)
    assert structure.parse(ssd.feature_extractor.type) == made.structure
    assert ssd.anchor_generator.multiscale_anchor_generator.max_level == 6


def test_recipes_of_other_parts_have_other_graphs_and_those_of_other_rates_the_same():
    made = recipes.build(LAPTOP)
    key = recipes.graph_key(made.to_dict())
    for change in ({"backbone": "mobilenet_v2"}, {"neck": "fpg"}, {"head": "pisa"}, {"box_loss": "l1"}):
        assert recipes.graph_key(made.replace(**change).to_dict()) != key
    assert recipes.graph_key(made.replace(layer_decay=0.5, train_sizes=[96, 160]).to_dict()) == key


def test_the_losses_of_two_heads_do_not_compare_nor_those_of_two_box_losses_where_they_are_chosen():
    def loss(head, box_loss, backbone="resnet50"):
        made = recipes.build(LAPTOP | {"head": head, "box_loss": box_loss, "backbone": backbone})
        return models.loss_of(made.to_dict())

    assert loss("retina", "l1") == loss("retina", "l1", "mobilenet_v2")
    assert len({loss("retina", "l1"), loss("retina", "smooth_l1"), loss("pisa", "l1")}) == 3
    assert loss("free_anchor", "l1") == loss("free_anchor", "smooth_l1")  # it has its own
    assert models.loss_of({"model": "of somebody else"}) == "of somebody else"
