"""PyramidExtractor: backbone and neck as the feature extractor of the API's SSD meta-architecture."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
from object_detection.meta_architectures import ssd_meta_arch

from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.backbones.networks.drop_path import DropPathState
from trainers.object_detection_api.pyramid.necks import NECKS
from trainers.object_detection_api.pyramid.necks.networks.layers import Layers
from trainers.object_detection_api.pyramid.structure import Structure


class PyramidExtractor(ssd_meta_arch.SSDKerasFeatureExtractor):
    """The feature extractor of a structure.

    classification_backbone, neck_network: the tf_keras Models. drop_path: the state that a training step sets.
    """

    def __init__(self, structure: Structure, **kwargs: Any) -> None:
        """kwargs: what the API's builder passes to every extractor."""
        super().__init__(name="pyramid", **kwargs)
        self.backbone_name = structure.backbone
        self._structure = functools.partial(lambda: structure)
        self._drop_path = functools.partial(_same, DropPathState())

    @property
    def drop_path(self) -> DropPathState:
        """What its DropPath layers draw."""
        return self._drop_path()  # type: ignore[no-any-return]

    def build(self, input_shape: Any) -> None:
        """Create the networks."""
        structure = self._structure()
        self.classification_backbone = BACKBONES[structure.backbone].build(self.drop_path)
        layers = Layers(self._conv_hyperparams, structure.channels)
        self.neck_network = NECKS[structure.neck].build(structure, layers)
        self.built = True

    def preprocess(self, resized_inputs: tf.Tensor) -> tf.Tensor:
        """RGB in 0..255 (B, H, W, 3) -> normalised as the backbone's published weights expect."""
        backbone = BACKBONES[self._structure().backbone]
        return (resized_inputs - tf.constant(backbone.mean)) / tf.constant(backbone.stddev)

    def _extract_features(self, preprocessed_inputs: tf.Tensor) -> list[tf.Tensor]:
        """(B, H, W, 3) -> feature maps (B, H / 8, W / 8, channels), (B, H / 16, ...), ..."""
        images = preprocessed_inputs
        if BACKBONES[self._structure().backbone].bgr:
            images = images[..., ::-1]
        found: list[tf.Tensor] = self.neck_network(self.classification_backbone(images))
        return found


def _same(value: Any) -> Any:
    return value
