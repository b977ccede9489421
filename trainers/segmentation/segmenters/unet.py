"""The model `unet`: a U-Net whose encoder is MobileNetV2, which sees more of an image at a time.

Sources: Ronneberger et al., "U-Net" (2015), for the decoder with skips; Sandler et al., "MobileNetV2" (2018), for the
encoder, which tf_keras builds. Its published weights, of ImageNet, are not fetched: trials start from scratch.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from trainers.model import Cost, register
from trainers.segmentation.segmenter import SegmentationRecipe, Segmenter

# the encoder's layers of which the decoder gets the output, at 1/2, 1/4, 1/8 and 1/16 of the resolution
SKIPS = ("block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu")
BOTTOM = "block_16_project"  # at 1/32


class UnetRecipe(SegmentationRecipe):
    """With the shape of the network.

    width: of the encoder, as MobileNetV2's alpha: its filters are multiplied by it. decoder_filters: of the decoder's
    last block, at the image's resolution; each deeper one has twice as many, at most 8 times.
    """

    width: float = Field(default=0.5, ge=0.1, le=2)
    decoder_filters: int = Field(default=16, ge=4, le=128)


def network(recipe: UnetRecipe, classes: int) -> Any:
    """Encoder, then five decoder blocks: upsampling, concatenation with a skip, a separable convolution."""
    from tf_keras import Input, Model, applications, layers

    image = Input((recipe.image_size, recipe.image_size, 3))
    encoder = applications.MobileNetV2(
        input_tensor=layers.Rescaling(1 / 127.5, -1)(image),
        alpha=recipe.width,
        include_top=False,
        weights=None,
    )
    x = encoder.get_layer(BOTTOM).output
    skips = [None, *(encoder.get_layer(name).output for name in SKIPS)]
    for level in reversed(range(len(skips))):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        if skips[level] is not None:
            x = layers.Concatenate()([x, skips[level]])
        x = layers.SeparableConv2D(
            recipe.decoder_filters * 2 ** min(level, 3), 3, padding="same", use_bias=False
        )(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    return Model(image, layers.Conv2D(classes, 1)(x))


MODEL = register(
    Segmenter(
        name="unet",
        title="U-Net with a MobileNetV2 encoder",
        recipe=UnetRecipe,
        network=network,
        min_image_size=64,
        largest_image_size=256,
        image_size_multiple=32,
        graph_fields=("image_size", "width", "decoder_filters", "flip_test"),
        published_at="Ronneberger et al. 2015, Sandler et al. 2018",
        presets={
            "laptop": {
                "image_size": 128, "batch_size": 8, "steps": 600,
                "optimizer": {"kind": "adam"},
                "schedule": {"kind": "cosine", "base": 0.003, "warmup": 0.05},
                "augmentations": [{"name": "random_horizontal_flip", "options": {"probability": 0.5}}],
                "flip_test": True,
            }
        },
        cost=Cost(cpu_step_seconds=0.6, pixels=128 * 128 * 8, shared_part=0.6, parameters=611_000),
    )
)  # fmt: skip
