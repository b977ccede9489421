"""Labelled: the objects of a batch as SSDMetaArch was given them, and the anchors that it has matched to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from object_detection.core import box_list
from object_detection.core.standard_fields import BoxListFields, InputDataFields


@dataclass(frozen=True)
class Labelled:
    """The objects of a batch.

    boxes: (B, N, 4) float32, [ymin, xmin, ymax, xmax] normalised. classes: (B, N, C) float32, one-hot.
    weights: (B, N) float32; 0 for rows that only fill up. real: (B,) float32; 0 for images that only fill up the batch.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    weights: tf.Tensor
    real: tf.Tensor


def labelled(model: Any) -> Labelled:
    """What was given to the model's `provide_groundtruth`."""
    names = (BoxListFields.boxes, BoxListFields.classes, BoxListFields.weights)
    boxes, classes, weights = (tf.stack(model.groundtruth_lists(name)) for name in names)
    real = tf.cast(tf.stack(model.groundtruth_lists(InputDataFields.is_annotated)), tf.float32)
    return Labelled(boxes, classes, weights, real)


def decoded(model: Any, codes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Box codes (B, A, 4) of anchors (A, 4) -> boxes (B, A, 4), by the API's box coder."""
    batch, count = tf.shape(codes)[0], tf.shape(codes)[1]
    of_all = box_list.BoxList(tf.tile(anchors, [batch, 1]))
    boxes = model._box_coder.decode(tf.reshape(codes, [-1, 4]), of_all).get()
    return tf.reshape(boxes, [batch, count, 4])


def encoded(model: Any, boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The codes (..., 4) of boxes (..., 4) relative to anchors (..., 4), by the API's box coder."""
    flat = [box_list.BoxList(tf.reshape(each, [-1, 4])) for each in (boxes, anchors)]
    return tf.reshape(model._box_coder.encode(*flat), tf.shape(anchors))
