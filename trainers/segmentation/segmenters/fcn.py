"""The model `fcn`: the fully convolutional network of the Follow Me project, with separable convolutions.

Source: github.com/udacity/RoboND-DeepLearning-Project. It is a tf_keras model and not one of Keras 3, because the
trainers' optimizers, averages and checkpoints are of tf_keras; their settings change without tracing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainers.model import Cost, register
from trainers.segmentation.segmenter import SegmentationRecipe, Segmenter


class FcnRecipe(SegmentationRecipe):
    """With the shape of the network.

    depth: encoder blocks, each of which halves the resolution. filters: of the first block; each further has twice as
    many, the 1x1 convolution in the middle twice as many again. decoder_convolutions: separable convolutions in each
    decoder block. decoder_output_stride: the decoder ends at 1 / so much of the resolution, and the logits are upsampled
    from there (Chen et al., "DeepLabv3+", 2018, have 4); 1 in the project. At full resolution, the last block takes more
    than half of a step.
    """

    added_later: ClassVar[Mapping[str, Any]] = {
        **SegmentationRecipe.added_later,
        "decoder_output_stride": 1,
    }

    depth: int = Field(default=2, ge=1, le=4)
    filters: int = Field(default=16, ge=4, le=128)
    decoder_convolutions: int = Field(default=2, ge=1, le=3)
    decoder_output_stride: Literal[1, 2, 4] = 1

    @model_validator(mode="after")
    def _decoder_has_a_block(self) -> Self:
        if self.decoder_output_stride >= 2**self.depth:
            raise ValueError(
                f"decoder_output_stride {self.decoder_output_stride} needs a depth of at least "
                f"{self.decoder_output_stride.bit_length()}, not {self.depth}"
            )
        return self


def network(recipe: FcnRecipe, classes: int) -> Any:
    """Encoder blocks of stride 2, a 1x1 convolution, and decoder blocks: upsampling, concatenation, convolutions."""
    from tf_keras import Input, Model, layers

    def separable(x: Any, filters: int, stride: int = 1) -> Any:
        x = layers.SeparableConv2D(filters, 3, stride, padding="same", activation="relu")(x)
        return layers.BatchNormalization(momentum=0.9)(x)

    image = Input((recipe.image_size, recipe.image_size, 3))
    x = layers.Rescaling(1 / 127.5, -1)(image)
    levels = []
    for i in range(recipe.depth):
        levels.append(x)
        x = separable(x, recipe.filters * 2**i, stride=2)
    x = layers.Conv2D(recipe.filters * 2**recipe.depth, 1, activation="relu")(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    last = recipe.decoder_output_stride.bit_length() - 1
    for i in reversed(range(last, recipe.depth)):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = layers.Concatenate()([x, levels[i]])
        for _ in range(recipe.decoder_convolutions):
            x = separable(x, recipe.filters * 2**i)
    logits = layers.Conv2D(classes, 1)(x)
    if last:
        logits = layers.UpSampling2D(recipe.decoder_output_stride, interpolation="bilinear")(logits)
    return Model(image, logits)


def relative_cost(fields: Mapping[str, Any]) -> float:
    """Of a step: measured, at 128 px on one core, for 8 to 32 filters, and hardly different with the depth."""
    blocks = 0.26 + 0.37 * fields.get("decoder_convolutions", 2)
    resolution = {1: 2.4, 2: 1.0, 4: 0.5}[fields.get("decoder_output_stride", 1)]
    return float(fields["filters"] / 16 * blocks * resolution)


MODEL = register(
    Segmenter(
        name="fcn",
        title="Fully convolutional network with separable convolutions",
        recipe=FcnRecipe,
        network=network,
        relative=relative_cost,
        first_rung=300,
        min_image_size=32,
        largest_image_size=256,
        image_size_multiple=16,
        graph_fields=("image_size", "depth", "filters", "decoder_convolutions", "decoder_output_stride", "flip_test"),
        published_at="the Follow Me project of Udacity's robotics nanodegree",
        presets={
            "laptop": {
                "image_size": 128, "batch_size": 4, "steps": 1200,
                "optimizer": {"kind": "adam"},
                "schedule": {"kind": "cosine", "base": 0.007, "warmup": 0.05},
                "augmentations": [
                    {"name": "random_horizontal_flip", "options": {"probability": 0.5}},
                    {"name": "random_image_scale", "options": {"min_scale_ratio": 0.6, "max_scale_ratio": 1.5}},
                ],
                "depth": 4, "decoder_output_stride": 2,
                "dice": 0.5, "flip_test": True,
            }
        },
        cost=Cost(cpu_step_seconds=0.2, pixels=128 * 128 * 8, shared_part=0.6, parameters=132_000),
    )
)  # fmt: skip
