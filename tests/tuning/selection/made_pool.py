"""Pools of scored images for tests of strategies, made without a detector."""

from __future__ import annotations

import numpy as np

from tuning.selection.scored import Found, Scored

CLASSES = 3
FEATURES = 8


def found(probabilities, boxes=None) -> Found:
    """Detections with these rows of class probabilities, in boxes side by side unless given."""
    rows = np.array(probabilities, np.float32).reshape(-1, CLASSES)
    places = (
        np.array([[0.1 * i, 0.0, 0.1 * i + 0.1, 0.5] for i in range(len(rows))]) if boxes is None else boxes
    )
    return Found(np.array(places, np.float32).reshape(-1, 4), rows)


def image(name: str, probabilities=(), look: int | None = None, embedding=None, boxes=None, **more) -> Scored:
    """One image. look: its perceptual hash; None for one that is far from the others'."""
    each = found(probabilities, boxes)
    generator = np.random.default_rng(sum(name.encode()) * 7919 + len(name))
    bits = int(generator.integers(0, 2**63)) if look is None else look
    return Scored(
        name, name, bits, 64, 48, each.boxes, each.probabilities,
        None if embedding is None else np.array(embedding, np.float32), **more,
    )  # fmt: skip


def planted(seed: int) -> tuple[list[Scored], set[str]]:
    """A pool of 300 images of 12 scenes, and the names of those with a rare class.

    One scene, a queue of unsure cars, was photographed 180 times, of which each looks a little different and has the
    highest entropies; each of the other eleven has 10 or 11 images, and two of them show the rare class, unsurely.
    """
    generator = np.random.default_rng(seed)
    images, rare = [], set()
    for index in range(300):
        scene = 0 if index < 180 else 1 + (index - 180) % 11
        middle = np.zeros(FEATURES)
        middle[scene % FEATURES] = 5 + 3 * (scene // FEATURES)
        name = f"{index:03d}-scene{scene}.jpg"
        if scene == 0:
            rows = [[0.5 + generator.uniform(-0.05, 0.05), 0.1, 0.02] for _ in range(6)]
        elif scene in (3, 7):
            rows = [[0.1, 0.05, 0.5 + generator.uniform(-0.1, 0.1)] for _ in range(3)]
            rare.add(name)
        else:
            rows = [[0.9, generator.uniform(0.05, 0.2), 0.02] for _ in range(3)]
        images.append(
            image(
                name,
                rows,
                look=int(generator.integers(0, 2**63)),
                embedding=middle + generator.normal(0, 0.2, FEATURES),
            )
        )
    return images, rare
