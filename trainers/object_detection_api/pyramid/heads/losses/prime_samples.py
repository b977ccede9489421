"""PISA: positive anchors weigh the more, the better their boxes already are (Cao et al. 2020).

ISR-P reweights the classification loss by the rank of the predicted boxes, and CARL adds a box loss that is weighted by
the predicted score, whose gradient raises the score of good boxes. Formulas: arXiv 1904.04821, sections 3.3 and 4;
constants: mmdetection's configuration of the same.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from object_detection.core import box_list, box_list_ops
from object_detection.core.standard_fields import BoxListFields

from trainers.object_detection_api.pyramid.heads.losses.labelled import decoded, labelled

ISR_POWER, ISR_BIAS = 2.0, 0.0
CARL_POWER, CARL_BIAS = 1.0, 0.2


def losses(model: Any, predictions: Any) -> dict[str, tf.Tensor]:
    """The two parts of the loss, divided by the number of matched anchors as the API does."""
    given, anchors = labelled(model), predictions["anchors"]
    lists = (model.groundtruth_lists(name) for name in (BoxListFields.boxes, BoxListFields.classes))
    boxes_list, classes_list = lists
    class_targets, class_weights, box_targets, box_weights, match = model._assign_targets(
        boxes_list, classes_list, None, tf.unstack(given.weights), None
    )
    codes = predictions["box_encodings"]
    codes = tf.squeeze(codes, 2) if codes.shape.rank == 4 else codes
    logits, real = predictions["class_predictions_with_background"], given.real[:, tf.newaxis]
    of_classes = model._classification_loss(logits, class_targets, weights=class_weights)
    of_classes = tf.reduce_sum(of_classes, -1) * real  # (B, A)
    of_boxes = model._localization_loss(codes, box_targets, ignore_nan_targets=True, weights=box_weights)
    of_boxes *= real

    positive = tf.logical_and(match >= 0, box_weights * real > 0)
    labels = class_targets[..., -given.classes.shape[-1] :]
    objects = match + tf.range(tf.shape(match)[0])[:, tf.newaxis] * given.boxes.shape[1]
    overlaps = _overlaps(decoded(model, codes, anchors), decoded(model, box_targets, anchors))
    flat = [tf.reshape(each, [-1]) for each in (overlaps, objects, tf.argmax(labels, -1, tf.int32), positive)]
    flat_overlaps, flat_objects, flat_labels, flat_positive = flat
    flat_losses = tf.reshape(of_classes, [-1])
    classes = labels.shape[-1]
    importance = prime_weights(flat_overlaps, flat_objects, flat_labels, flat_positive, flat_losses, classes)
    scores = tf.reduce_sum(tf.sigmoid(logits[..., -labels.shape[-1] :]) * labels, -1)
    carl = score_weights(tf.reshape(scores, [-1]), tf.reshape(positive, [-1]))
    normaliser = tf.maximum(tf.reduce_sum(box_weights * real), 1.0)
    weighted = tf.reshape(carl, tf.shape(of_boxes)) * of_boxes
    return {
        "Loss/classification_loss": tf.reduce_sum(tf.reshape(of_classes, [-1]) * tf.stop_gradient(importance))
        / normaliser,
        "Loss/localization_loss": tf.reduce_sum(of_boxes + weighted)
        / (normaliser * model._box_coder.code_size),
    }


def prime_weights(
    overlaps: tf.Tensor,
    objects: tf.Tensor,
    labels: tf.Tensor,
    positive: tf.Tensor,
    losses: tf.Tensor,
    classes: int,
) -> tf.Tensor:
    """ISR-P: the factor of the classification loss of each of M anchors; 1 for those that are not positive.

    overlaps: IoU of the predicted box and its object's, (M,). objects: int32 number of its object, different in each
    image. labels: int32, of `classes` classes. positive: bool. losses: classification loss, (M,).
    The hierarchical local rank r of an anchor (IoU-HLR) is its place among all of its class, which are ordered by their
    place among those of their object, and then by IoU. u = (n - r) / n, with n the number of positive anchors of the
    largest class, and the weight is ((1 - b) u + b)^k, scaled so that the sum of the losses stays what it was.
    """
    overlaps = tf.stop_gradient(overlaps)
    nowhere = -tf.ones_like(objects)
    counts = tf.math.bincount(
        tf.where(positive, labels, classes), minlength=classes + 1, maxlength=classes + 1
    )
    most = tf.cast(tf.maximum(tf.reduce_max(counts[:classes]), 1), tf.float32)
    of_object = _rank_in_group(overlaps, tf.where(positive, objects, nowhere))
    key = tf.where(tf.math.is_finite(overlaps), overlaps, 0.0) + (most - tf.cast(of_object, tf.float32))
    of_class = _rank_in_group(key, tf.where(positive, labels, nowhere))
    importance = (most - tf.cast(of_class, tf.float32)) / most
    weights = (ISR_BIAS + (1 - ISR_BIAS) * importance) ** ISR_POWER
    before = tf.reduce_sum(tf.where(positive, losses, 0.0))
    after = tf.reduce_sum(tf.where(positive, weights * losses, 0.0))
    return tf.where(positive, weights * tf.math.divide_no_nan(before, after), 1.0)


def score_weights(scores: tf.Tensor, positive: tf.Tensor) -> tf.Tensor:
    """CARL: ((1 - b) score + b)^k of positive anchors, scaled to a mean of 1; 0 for the others. (M,) -> (M,)."""
    raw = tf.where(positive, (CARL_BIAS + (1 - CARL_BIAS) * scores) ** CARL_POWER, 0.0)
    count = tf.reduce_sum(tf.cast(positive, tf.float32))
    return raw * tf.math.divide_no_nan(count, tf.reduce_sum(raw))


def _rank_in_group(values: tf.Tensor, groups: tf.Tensor) -> tf.Tensor:
    """The place of each value (from 0, the largest first) among those of its group. (M,), (M,) int32 -> (M,) int32."""
    by_value = tf.argsort(values, direction="DESCENDING", stable=True)
    order = tf.gather(by_value, tf.argsort(tf.gather(groups, by_value), stable=True))
    ordered = tf.gather(groups, order)
    places = tf.range(tf.size(order)) - tf.searchsorted(ordered, ordered, side="left")
    return tf.scatter_nd(order[:, tf.newaxis], places, tf.shape(order))


def _overlaps(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """IoU of boxes of the same place, (B, A, 4) each -> (B, A)."""
    flat = [box_list.BoxList(tf.reshape(each, [-1, 4])) for each in (one, other)]
    return tf.reshape(box_list_ops.matched_iou(*flat), tf.shape(one)[:2])
