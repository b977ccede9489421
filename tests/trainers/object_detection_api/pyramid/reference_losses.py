"""FreeAnchor's and PISA's losses in plain numpy, one object and one anchor at a time, independent of the project's."""

from __future__ import annotations

import numpy as np


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Of two boxes [ymin, xmin, ymax, xmax]."""
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(height, 0.0) * max(width, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return 0.0 if shared == 0 else shared / (sum(areas) - shared)


def code(box: np.ndarray, anchor: np.ndarray) -> np.ndarray:
    """The Faster R-CNN box code with factors 10, 10, 5, 5 (Ren et al. 2015, eq. 2)."""
    size, of_anchor = box[2:] - box[:2], anchor[2:] - anchor[:2]
    shift = ((box[:2] + box[2:]) - (anchor[:2] + anchor[2:])) / 2 / of_anchor
    return np.concatenate([10 * shift, 5 * np.log(size / of_anchor)])


def free_anchor(logits, codes, predicted, anchors, boxes, classes, bag):
    """(positive part, negative part) of one image, not yet divided. classes: numbers."""
    scores, positive = 1 / (1 + np.exp(-logits)), 0.0
    for box, c in zip(boxes, classes, strict=True):
        overlaps = [iou(box, anchor) for anchor in anchors]
        chosen = np.argsort(overlaps)[::-1][:bag]
        probabilities = []
        for a in chosen:
            difference = np.abs(codes[a] - code(box, anchors[a]))
            loss = np.where(difference < 0.11, difference**2 / 0.22, difference - 0.055).sum()
            probabilities.append(scores[a, c] * np.exp(-0.75 * loss))
        weights = [1 / (1 - p) for p in probabilities]
        mean_max = sum(w * p for w, p in zip(weights, probabilities, strict=True)) / sum(weights)
        positive += -0.5 * np.log(mean_max)
    negative = 0.0
    for a in range(len(anchors)):
        for c in range(logits.shape[1]):
            taken = 0.0
            for box, of in zip(boxes, classes, strict=True):
                best = max(max(iou(box, each) for each in predicted), 0.6 + 1e-12)
                if of == c and best > 0.6 + 1e-9:
                    taken = max(taken, min(max((iou(box, predicted[a]) - 0.6) / (best - 0.6), 0), 1))
            wrong = scores[a, c] * (1 - taken)
            negative += 0.5 * wrong**2 * -np.log(1 - wrong)
    return positive, negative


def prime_weights(overlaps, objects, labels, losses):
    """ISR-P of positive anchors alone."""
    counts = [int((labels == c).sum()) for c in set(labels)]
    most, weights = max(counts), np.zeros(len(labels))
    key = np.array(overlaps, float)
    for thing in set(objects):
        members = [i for i in range(len(objects)) if objects[i] == thing]
        for place, i in enumerate(sorted(members, key=lambda i: -overlaps[i])):
            key[i] += most - place
    for c in set(labels):
        members = [i for i in range(len(labels)) if labels[i] == c]
        for place, i in enumerate(sorted(members, key=lambda i: -key[i])):
            weights[i] = ((most - place) / most) ** 2
    return weights * losses.sum() / (weights * losses).sum()


def score_weights(scores):
    """CARL of positive anchors alone."""
    raw = np.array([0.2 + 0.8 * score for score in scores])
    return raw * len(raw) / raw.sum()
