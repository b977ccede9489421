"""FreeAnchor: the likelihood that at least one anchor of an object's bag explains it (Zhang et al. 2019).

Formulas and constants: arXiv 1909.02466, section 3, with the settings of section 4.1, as in mmdetection's
free_anchor_retina_head.py. Logarithms of products are sums here, so that a bag of hopeless anchors has a gradient, too.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from object_detection.core import box_list, box_list_ops

from trainers.object_detection_api.pyramid.heads.losses.labelled import decoded, encoded, labelled

BAG = 50  # anchors of an object's bag: those with the highest IoU
THRESHOLD = 0.6  # IoU from which a predicted box is taken to localise an object
ALPHA, GAMMA = 0.5, 2.0  # of the focal loss
BOX_WEIGHT, BETA = 0.75, 0.11  # of the smooth L1 loss: its factor, and where its square ends
SMALLEST = 1e-12


def losses(model: Any, predictions: Any) -> dict[str, tf.Tensor]:
    """The two parts of the loss.

    The likelihood of the bags, of class and box together, is "localization"; that of the background "classification".
    """
    given, anchors = labelled(model), predictions["anchors"]
    codes = predictions["box_encodings"]
    codes = tf.squeeze(codes, 2) if codes.shape.rank == 4 else codes
    logits = predictions["class_predictions_with_background"][..., -given.classes.shape[-1] :]
    boxes = decoded(model, codes, anchors)

    def of_image(image: Any) -> tuple[tf.Tensor, tf.Tensor]:
        logits, codes, predicted, boxes, classes, weights = image
        overlaps = _iou(boxes, predicted)
        bags = tf.math.top_k(_iou(boxes, anchors), min(BAG, anchors.shape[0]), sorted=False).indices  # (N, K)
        chosen = tf.gather(anchors, bags)
        targets = encoded(model, tf.broadcast_to(boxes[:, tf.newaxis], tf.shape(chosen)), chosen)
        differences = smooth_l1(tf.gather(codes, bags) - targets)
        scores = tf.einsum("nkc,nc->nk", tf.gather(logits, bags), classes)
        bag = bag_loss(tf.math.log_sigmoid(scores) - BOX_WEIGHT * tf.reduce_sum(differences, -1))
        taken = tf.stop_gradient(taken_by_objects(overlaps, classes * weights[:, tf.newaxis]))
        # rows that only fill up have boxes of no size, whose codes are not finite
        return tf.reduce_sum(tf.where(weights > 0, bag, 0.0)), background_loss(logits, taken)

    batch = (logits, codes, boxes, given.boxes, given.classes, given.weights)
    spec = (tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.float32))
    of_bags, of_background = tf.map_fn(of_image, batch, fn_output_signature=spec)
    objects = tf.reduce_sum(tf.cast(given.weights > 0, tf.float32) * given.real[:, tf.newaxis])
    most = tf.maximum(objects, 1.0)
    return {
        "Loss/localization_loss": tf.reduce_sum(of_bags * given.real) / most,
        "Loss/classification_loss": tf.reduce_sum(of_background * given.real)
        / tf.maximum(1.0, objects * BAG),
    }


def bag_loss(log_probabilities: tf.Tensor) -> tf.Tensor:
    """Logarithms of P(class) P(box) of each anchor of each bag (N, K) -> -alpha log Mean-max of each bag, (N,).

    Mean-max(x) = sum(x_k / (1 - x_k)) / sum(1 / (1 - x_k)): near the mean for small x, near the largest for large ones.
    """
    log_rest = tf.math.log(tf.maximum(1.0 - tf.exp(log_probabilities), SMALLEST))
    log_bag = tf.reduce_logsumexp(log_probabilities - log_rest, -1) - tf.reduce_logsumexp(-log_rest, -1)
    return -ALPHA * log_bag


def taken_by_objects(overlaps: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """The probability (A, C) that an anchor is of an object of a class: the largest over the objects.

    overlaps: IoU of objects and predicted boxes, (N, A). classes: (N, C), one-hot. An object's probability rises
    linearly from 0 at an IoU of THRESHOLD to 1 at the largest that it has with any predicted box.
    """
    most = tf.maximum(tf.reduce_max(overlaps, 1, keepdims=True), THRESHOLD + SMALLEST)
    # a maximum at the threshold leaves no range
    span = tf.maximum(most - THRESHOLD, SMALLEST)
    of_object = tf.clip_by_value((overlaps - THRESHOLD) / span, 0.0, 1.0)
    by_class = [tf.reduce_max(of_object * classes[:, c, tf.newaxis], 0) for c in range(classes.shape[1])]
    return tf.stack(by_class, -1)


def background_loss(logits: tf.Tensor, taken: tf.Tensor) -> tf.Tensor:
    """The focal loss of all anchors as background, less the more an object takes them. Both (A, C) -> scalar."""
    wrong = tf.clip_by_value(tf.sigmoid(logits) * (1.0 - taken), SMALLEST, 1.0 - 1e-7)
    return tf.reduce_sum((1.0 - ALPHA) * wrong**GAMMA * -tf.math.log1p(-wrong))


def smooth_l1(difference: tf.Tensor) -> tf.Tensor:
    """A parabola to BETA, and a line of slope 1 from there on."""
    size = tf.abs(difference)
    return tf.where(size < BETA, 0.5 * size**2 / BETA, size - 0.5 * BETA)


def _iou(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """(N, 4), (A, 4) -> (N, A)."""
    found: tf.Tensor = box_list_ops.iou(box_list.BoxList(one), box_list.BoxList(other))
    return found
