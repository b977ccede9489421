"""Entropy with diversity: the pool is clustered by the detector's embeddings, and the clusters take turns.

Of each cluster the image of the highest entropy is picked, then the second of each, so that a hundred pictures of one
puzzling scene are not picked instead of a hundred scenes (cluster, then rank: Zhdanov, "Diverse mini-batch active
learning", 2019, arXiv 1901.05954). The clusters are those of k-means with k-means++ (Arthur and Vassilvitskii 2007).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuning.selection.strategies import entropy
from tuning.selection.strategy import Candidates, Strategy, register, registered

PER_CLUSTER = (
    3  # picked images, on average: of more clusters, a scene with very many images would have several
)
LARGEST_SAMPLE = 20_000  # images that decide where the clusters are, in a larger pool


def order(candidates: Candidates, count: int) -> Iterator[int]:
    """The images of the highest entropy of each cluster, by entropy, then the second ones, and so on."""
    from scipy.cluster.vq import kmeans2, vq

    points, scores = candidates.embeddings.astype(np.float64), candidates.scores
    if not len(points):
        return
    spread = points.std(axis=0)
    points = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1)
    clusters = max(1, min(count // PER_CLUSTER, len(np.unique(points, axis=0))))
    sample = points
    if len(points) > LARGEST_SAMPLE:
        sample = points[candidates.generator.choice(len(points), LARGEST_SAMPLE, replace=False)]
    centres, _ = kmeans2(sample, clusters, minit="++", seed=candidates.generator, missing="warn")
    labels, _ = vq(points, centres)
    best = np.argsort(-scores, kind="stable")
    turn = np.empty(len(scores), np.int64)
    seen: dict[int, int] = {}
    for place in best.tolist():
        label = int(labels[place])
        turn[place] = seen[label] = seen.get(label, -1) + 1
    yield from np.lexsort((np.arange(len(scores)), -scores, turn)).tolist()


ENTROPY = registered()["entropy"]
DIVERSE = register(
    Strategy(
        "diverse-entropy", "entropy of the class scores, by cluster", f"{entropy.SOURCE}; Zhdanov 2019",
        ENTROPY.score, order, needs=frozenset({"embeddings"}), unit="bits",
    )
)  # fmt: skip
