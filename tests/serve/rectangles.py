"""A small export without training: plain TensorFlow that detects one red, green and blue rectangle per image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from trainers.datasets.label_map import write_label_map
from trainers.detection import export, samples
from trainers.detection.calibration import Calibration
from trainers.detection.export import Framing
from trainers.detection.samples import Samples

CLASSES = ("red", "green", "blue")
SIZE = 64
SAMPLES, JUDGED = 6, 20  # images


def picture(
    height: int, width: int, boxes: dict[str, tuple[float, float, float, float]], noise: int = 0
) -> np.ndarray:
    """(H, W, 3) uint8 RGB, grey, with a rectangle of each named class at [ymin, xmin, ymax, xmax], normalised."""
    image = np.full((height, width, 3), 90, np.uint8)
    if noise:
        image = (
            (image + np.random.default_rng(noise).integers(-20, 20, image.shape))
            .clip(0, 255)
            .astype(np.uint8)
        )
    for name, (ymin, xmin, ymax, xmax) in boxes.items():
        colour = [255 if name == each else 0 for each in CLASSES]
        top, left = round(xmin * width), round(ymin * height)
        cv2.rectangle(
            image, (top, left), (round(xmax * width) - 1, round(ymax * height) - 1), colour, cv2.FILLED
        )
    return image


def build(
    folder: Path, shift: float = 0.0, broken: bool = False, blind: bool = False, fragile: bool = False
) -> Path:
    """Write the export. Variants: shift is added to every box; broken fails on every image, fragile on any image
    without green; blind detects nothing."""
    import tensorflow as tf

    class Rectangles(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
        def detect(self, images):
            pixels = tf.cast(images, tf.float32)
            # each colour minus the two others, as a convolution, for there to be something to quantize
            above_others = tf.nn.conv2d(pixels, (2 * np.eye(3, dtype=np.float32) - 1)[None, None], 1, "SAME")
            of_class = tf.cast(above_others > 60.0, tf.float32)  # (N, H, W, 3)
            if broken:
                of_class = tf.debugging.check_numerics(of_class / 0.0, "broken")

            if blind:
                of_class = of_class * 0.0
            if fragile:
                green = tf.reduce_max(of_class[..., 1], axis=[1, 2])
                with tf.control_dependencies([tf.debugging.assert_greater(green, 0.0, "no green")]):
                    of_class = tf.identity(of_class)

            def edges(axis):
                line = tf.reduce_max(of_class, axis=3 - axis)  # (N, H or W, 3)
                length = tf.shape(line)[1]
                index = tf.cast(tf.range(length), tf.float32)[tf.newaxis, :, tf.newaxis]
                low = tf.reduce_min(tf.where(line > 0, index, tf.cast(length, tf.float32)), axis=1)
                high = tf.reduce_max(tf.where(line > 0, index + 1.0, 0.0), axis=1)
                return low / tf.cast(length, tf.float32), high / tf.cast(length, tf.float32)

            (top, bottom), (left, right) = edges(1), edges(2)
            boxes = tf.stack([top, left, bottom, right], axis=2) + shift  # (N, 3, 4)
            there = tf.cast(bottom > top, tf.float32)
            area = tf.maximum((bottom - top) * (right - left), 0.0)
            scores = there * (0.7 + 0.29 * tf.sqrt(area))
            order = tf.argsort(scores, axis=1, direction="DESCENDING")
            classes = tf.cast(tf.tile([[1.0, 2.0, 3.0]], [tf.shape(images)[0], 1]), tf.float32)
            return {
                "detection_boxes": tf.gather(tf.clip_by_value(boxes, 0.0, 1.0), order, batch_dims=1),
                "detection_scores": tf.gather(scores, order, batch_dims=1),
                "detection_classes": tf.gather(classes, order, batch_dims=1),
                "num_detections": tf.reduce_sum(there, axis=1),
            }

    rng = np.random.default_rng(5)
    images, boxes, labels = [], [], []
    for _ in range(SAMPLES + JUDGED):
        chosen = {
            name: (float(y), float(x), float(y) + 0.3, float(x) + 0.25)
            for name, (y, x) in zip(CLASSES, rng.uniform(0, 0.6, (3, 2)), strict=True)
            if rng.random() < 0.7
        }
        # one class per image, so that no rectangle covers another
        name = "green" if fragile else next(iter(chosen), "red")
        box = chosen.get(name, (0.2, 0.2, 0.6, 0.6))
        images.append(picture(SIZE, SIZE, {name: box}))
        boxes.append(np.array([box], np.float32))
        labels.append(np.array([CLASSES.index(name) + 1]))
    stacked = np.stack(images[:SAMPLES])
    module = Rectangles()
    folder.mkdir(parents=True)
    tf.saved_model.save(
        module, str(folder / export.SAVED_MODEL), signatures={"serving_default": module.detect}
    )
    write_label_map(folder / export.LABEL_MAP, CLASSES)
    (folder / "recipe.yaml").write_text("detector: rectangles\n")
    if broken:
        found = [
            samples.DetectionArrays(b, np.ones(1, np.float32), c)
            for b, c in zip(boxes[:SAMPLES], labels[:SAMPLES], strict=True)
        ]
    else:
        from serve.backends.backend import found as found_of

        out = module.detect(tf.constant(stacked))
        names = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
        found = found_of(*(out[name].numpy() for name in names))
    Samples(stacked, boxes[:SAMPLES], labels[:SAMPLES], found).save(folder / export.SAMPLES)
    Calibration(images[:SAMPLES], images[SAMPLES:], boxes[SAMPLES:], labels[SAMPLES:]).save(
        folder / export.CALIBRATION
    )
    export.seal(
        folder,
        CLASSES,
        Framing(SIZE, "stretch"),
        0.5,
        {"recipe_id": f"rectangles{shift}", "detector": "rectangles", "step": 0},
    )
    return folder
