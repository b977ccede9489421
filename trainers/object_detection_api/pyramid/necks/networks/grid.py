"""FPG: parallel bottom-up pathways with lateral connections between them.

The connections are those of mmdetection's FPG: without AcrossUp, and contracted, so that the lower of two levels begins
one pathway later: P3 has no transition in the first four of nine pathways, P4 none in the first three, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from trainers.object_detection_api.pyramid.necks.networks.layers import Layers, twice_as_large
from trainers.object_detection_api.pyramid.structure import Structure


class FPG(tf_keras.Model):
    """[C3, C4, C5] -> [P3, P4, P5, ...] (Chen et al. 2020, section 3)."""

    def __init__(self, structure: Structure, layers: Layers) -> None:
        super().__init__(name="fpg")
        self._projections = [layers.projection(f"projection_{level}") for level in (3, 4, 5)]
        extra = range(6, 3 + structure.levels)
        self._of_backbone = structure.extra_levels == "c5"
        self._extra = [layers.convolution(3, f"level_{level}", stride=2) for level in extra]
        self._grid = [
            [
                _Cell(layers, structure.levels, level, path)
                for level in range(structure.levels)
                if path >= skipped(level, structure.levels, structure.pathways)
            ]
            for path in range(structure.pathways)
        ]
        self._outputs = [layers.activated_before(3, f"output_{level}") for level in range(structure.levels)]

    def call(self, features: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Feature maps (B, H, W, any) of strides 8, 16, 32 -> (B, H, W, channels) of strides 8, 16, 32, 64, ..."""
        first = [project(each) for project, each in zip(self._projections, features, strict=True)]
        top = features[-1] if self._of_backbone else first[-1]
        for downsample in self._extra:
            top = downsample(top)
            first.append(top)
        before = first
        for cells in self._grid:
            now = list(before[: len(before) - len(cells)])
            for cell in cells:
                now.append(cell(first, before, now))
            before = now
        return [output(each) for output, each in zip(self._outputs, before, strict=True)]


def skipped(level: int, levels: int, pathways: int) -> int:
    """The first pathway in which a level (0 the lowest) has transitions; fewer than half of them are left out."""
    return min(levels - 1 - level, (pathways - 1) // 2)


class _Cell(tf_keras.layers.Layer):
    """One level of one pathway: the sum of its transitions."""

    def __init__(self, layers: Layers, levels: int, level: int, path: int) -> None:
        super().__init__(name=f"path_{path}_level_{level}")

        def transition(kind: str, size: int, stride: int = 1) -> Any:
            return layers.activated_before(size, f"path_{path}_level_{level}_{kind}", stride)

        self._level = level
        self._same = transition("across_same", 1)
        self._skip = transition("across_skip", 1)
        self._down = transition("across_down", 3) if level < levels - 1 else None
        self._up = transition("same_up", 3, stride=2) if level > 0 else None

    def call(self, first: Any, before: Any, now: Any) -> tf.Tensor:
        """The pathway's feature map at this level. first, before: of all levels; now: of the lower ones."""
        level = self._level
        total = self._same(before[level]) + self._skip(first[level])
        if self._down is not None:
            shape = tf.shape(before[level])
            upsampled = twice_as_large(before[level + 1])[:, : shape[1], : shape[2]]
            total += self._down(tf.ensure_shape(upsampled, before[level].shape))
        if self._up is not None:
            total += self._up(now[-1])
        return total
