"""A small segmentation export without training: red, green and blue pixels are classes 1 to 3, all others class 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainers.segmentation import export
from trainers.segmentation.export import Proof
from trainers.segmentation.exported_segmenter import RAREST_FIRST, REGION_VOTE

CLASSES = ("ground", "red", "green", "blue")
SIZE = 64


def scene(height: int, width: int, boxes: dict[str, tuple[int, int, int, int]]) -> np.ndarray:
    """(H, W, 3) uint8 RGB, grey, with a filled rectangle of each named class at (left, top, right, bottom), pixels."""
    image = np.full((height, width, 3), 90, np.uint8)
    for name, (left, top, right, bottom) in boxes.items():
        image[top:bottom, left:right] = [220 if name == each else 20 for each in CLASSES[1:]]
    return image


def build(
    folder: Path, blind: str = "", swapped: bool = False, size: int = SIZE, region_vote: float = 0.0
) -> Path:
    """Write the export. blind: a class that it never finds. swapped: it takes red for green and the reverse."""
    import tensorflow as tf

    class Coloured(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
        def segment(self, images):
            pixels = tf.image.resize(tf.cast(images, tf.float32), [size, size])
            pixels = tf.ensure_shape(tf.round(pixels), [None, size, size, 3])
            others = tf.reduce_mean(pixels, axis=3, keepdims=True)
            colours = (pixels - others) / 20.0
            if swapped:
                colours = tf.gather(colours, [1, 0, 2], axis=3)
            if blind:
                colours -= tf.constant([100.0 if name == blind else 0.0 for name in CLASSES[1:]])
            logits = tf.concat([tf.ones_like(others) * 3.0, colours], axis=3)
            shape = tf.shape(images)
            masks = tf.argmax(tf.image.resize(logits, shape[1:3]), axis=-1)
            return {"masks": tf.cast(masks, tf.uint8), export.LOGITS: logits}

    images = [
        scene(48, 80, {"red": (4 + i, 5, 30, 25), "green": (40, 10 + i, 60, 30), "blue": (62, 2, 78, 40 - i)})
        for i in range(3)
    ]
    module = Coloured()
    folder.mkdir(parents=True)
    tf.saved_model.save(
        module, str(folder / export.SAVED_MODEL), signatures={"serving_default": module.segment}
    )
    samples = {}
    for i, image in enumerate(images):
        found = module.segment(tf.constant(image[np.newaxis]))["masks"].numpy()[0]
        samples |= {f"image_{i}": image, f"mask_{i}": found}
    np.savez_compressed(folder / export.SAMPLES, allow_pickle=False, **samples)
    (folder / "recipe.yaml").write_text("model: coloured\n")
    about = {
        "recipe_id": f"coloured {blind}{swapped}", "model": "coloured", "step": 0,
        REGION_VOTE: region_vote, RAREST_FIRST: [3, 2, 1],
    }  # fmt: skip
    export.seal(folder, CLASSES, size, Proof(3, 1.0, 1.0, 0.0), about)
    return folder
