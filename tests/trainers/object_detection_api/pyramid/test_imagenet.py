"""The backbones' published weights: fetched once, compared with their digest, and refused in one line."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from trainers import model as models
from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.object_detection_api.checkpoints.zoo import MIRROR, Unavailable
from trainers.object_detection_api.pyramid import imagenet
from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.imagenet import BackboneFile

FAMILY = "retinanet_family"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that stands for the publishers."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv(MIRROR, str(folder))
    return folder


def recipe_of(backbone: str, source: str = "zoo"):
    fields = {"model": FAMILY, **models.get(FAMILY).presets["laptop"]}
    return recipes.build(fields | {"backbone": backbone, "weights": {"source": source}})


def name_of(backbone: str) -> str:
    return BACKBONES[backbone].weights.address.rpartition("/")[2]


def test_every_backbone_has_published_weights_and_all_but_one_a_digest():
    for name, backbone in BACKBONES.items():
        assert backbone.weights.address.startswith("https://")
        kind, _, value = backbone.weights.digest.partition(":")
        assert (kind, len(value)) in (("md5", 32), ("sha256", 64)) or name == "mobilenet_v2"


def test_a_file_is_fetched_once_and_another_one_than_the_first_is_refused(mirror, tmp_path):
    there = mirror / name_of("mobilenet_v2")
    there.write_bytes(b"weights")
    cache = tmp_path / "cache"
    file = BackboneFile("mobilenet_v2", cache)
    assert file.fetch().read_bytes() == b"weights"
    there.write_bytes(b"others")
    assert file.fetch().read_bytes() == b"weights"
    file.path.unlink()
    first = hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(Unavailable, match=f"has the digest sha256:[0-9a-f]+, not sha256:{first}$"):
        file.fetch()
    assert not file.path.exists()


def test_a_file_with_another_digest_than_the_published_is_refused_and_not_kept(mirror, tmp_path):
    (mirror / name_of("resnet50")).write_bytes(b"damaged")
    with pytest.raises(
        Unavailable, match=r"has the digest md5:[0-9a-f]+, not md5:4d473c1dd8becc155b73f8504c6f6626$"
    ):
        BackboneFile("resnet50", tmp_path / "cache").fetch()
    assert not list((tmp_path / "cache").glob("*.h5"))


@pytest.mark.usefixtures("mirror")
def test_what_cannot_be_fetched_is_said_and_trials_start_from_scratch(tmp_path):
    start = imagenet.resolve("auto", FAMILY, cache=tmp_path)
    assert start.source == "none"
    assert "trains from scratch: ImageNet weights are not available (" in start.message
    assert "\n" not in start.message
    with pytest.raises(
        UserError, match=r"^ImageNet weights of convnext_tiny are not available .*; use --weights none$"
    ):
        imagenet.start_of(recipe_of("convnext_tiny"), cache=tmp_path)


def test_a_recipe_without_weights_fetches_nothing(tmp_path):
    assert imagenet.start_of(recipe_of("resnet50", "none"), cache=tmp_path) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.slow(20)
def test_published_weights_become_the_backbones_and_those_of_another_are_refused(mirror, tmp_path):
    from trainers.object_detection_api.pyramid.backbones.networks import published
    from trainers.object_detection_api.pyramid.backbones.networks.drop_path import DropPathState

    backbone = BACKBONES["mobilenet_v2"]
    theirs = published.network_of(backbone.settings)
    theirs.save_weights(str(mirror / name_of("mobilenet_v2")))
    file = imagenet.start_of(recipe_of("mobilenet_v2"), cache=tmp_path)
    own = backbone.build(DropPathState())
    published.load(own, backbone.settings, file)
    for one, other in zip(own.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    tiny = {"blocks": (1, 1, 1, 1), "widths": (8, 8, 8, 8)}
    with pytest.raises(UserError, match="is not of weights of this backbone: ") as refused:
        published.load(own, tiny, file)
    assert "\n" not in str(refused.value)
