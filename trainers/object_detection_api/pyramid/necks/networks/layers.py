"""Layers: the convolutions of necks, with the normalisation and the initial values that the configuration states."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras


class Layers:
    """Makes layers by `hyperparams`, the API's `KerasLayerHyperparams`. channels: of every convolution."""

    def __init__(self, conv_hyperparams: Any, channels: int) -> None:
        self.hyperparams = conv_hyperparams
        self._channels = channels

    def projection(self, name: str) -> Any:
        """A 1x1 convolution with a bias, and nothing after it."""
        return self._convolution(1, 1, name, use_bias=True)

    def convolution(self, size: int, name: str, stride: int = 1, activated: bool = True) -> Any:
        """A convolution with batch normalisation, and an activation unless `activated` is false."""
        parts = [self._convolution(size, stride, f"{name}_conv"), self._normalisation(f"{name}_batchnorm")]
        if activated:
            parts.append(self.hyperparams.build_activation_layer(name=name))
        return tf_keras.Sequential(parts, name=name)

    def activated_before(self, size: int, name: str, stride: int = 1) -> Any:
        """ReLU, a convolution, batch normalisation: the order of FPG's transitions."""
        parts = [
            tf_keras.layers.ReLU(name=f"{name}_relu"),
            self._convolution(size, stride, f"{name}_conv"),
            self._normalisation(f"{name}_batchnorm"),
        ]
        return tf_keras.Sequential(parts, name=name)

    def _convolution(self, size: int, stride: int, name: str, use_bias: bool = False) -> Any:
        settings = self.hyperparams.params(use_bias=use_bias)
        return tf_keras.layers.Conv2D(
            self._channels, size, strides=stride, padding="same", name=name, **settings
        )

    def _normalisation(self, name: str) -> Any:
        return self.hyperparams.build_batch_norm(training=True, name=name)


def twice_as_large(features: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B, 2 H, 2 W, C), each value four times."""
    return tf.repeat(tf.repeat(features, 2, axis=1), 2, axis=2)
