"""Segmentation as it is served: a region for each class of a frame, judged by the pixels of each class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serve.errors import Refused
from serve.jobs.options import Options
from serve.masks import regions
from serve.masks.drawing import draw
from serve.masks.regions import Region
from serve.tasks.task import Parity, ServedTask
from trainers.errors import UserError
from trainers.segmentation import export as exports
from trainers.segmentation.export import LOGITS, PIXEL_TOLERANCE, Export
from trainers.segmentation.resizing import mask_of

FEW_PIXELS = 3  # of a class, at the network's size, count as none when a canary is judged
WHOLE = 100  # what a class that the present model shows in an image counts


class SegmentationTask(ServedTask):
    """See ServedTask; a network's result is its logits, (S, S, C) float32."""

    name = "segmentation"
    verb = "segment"
    title = "segmentation"
    backends = {
        "openvino": "serve.masks.openvino:OpenVinoSegmenter",
        "tensorflow": "serve.masks.tensorflow:TensorFlowSegmenter",
    }

    def read(self, folder: Path) -> Export:
        """See ServedTask."""
        found = exports.read(folder)
        if LOGITS not in found.manifest.get("outputs", ()):
            raise UserError(
                f"{folder}: made by an earlier version, without logits; delete it and promote the trial again"
            )
        return found

    def check(self, options: Options) -> None:
        """A mask has no score, and a region no identity."""
        if options.threshold is not None:
            raise Refused(422, "threshold: a segmentation model has no scores; leave it out")
        if options.track:
            raise Refused(422, "track: a segmentation model has no objects to follow; leave it out")

    def sample_squares(self, export: Export) -> np.ndarray:
        """See ServedTask."""
        return np.stack([export.square(image) for image, _ in export.samples()])

    def parity(self, export: Export, found: Sequence[np.ndarray]) -> Parity:
        """The share of the pixels with the class that the export gives, and the mean IoU with its masks."""
        same = total = 0
        overlaps: list[float] = []
        for (_, mask), logits in zip(export.samples(), found, strict=True):
            mine = mask_of(logits, *mask.shape)
            same += int((mine == mask).sum())
            total += mask.size
            for index in np.unique(np.concatenate([mine.ravel(), mask.ravel()])):
                a, b = mine == index, mask == index
                overlaps.append(float((a & b).sum() / (a | b).sum()))
        differing = 1 - same / total
        problem = None
        if not differing <= PIXEL_TOLERANCE:
            problem = f"{differing:.5f} of the pixels have another class (tolerance {PIXEL_TOLERANCE})"
        return Parity({"same": same / total, "IoU": float(np.mean(overlaps))}, problem)

    def health_sample(self, export: Export) -> tuple[np.ndarray, int]:
        """The sample with most classes."""
        shown = export.samples()
        counts = [int(np.count_nonzero(np.unique(mask))) for _, mask in shown]
        best = int(np.argmax(counts))
        return export.square(shown[best][0]), counts[best]

    def problem(self, export: Export, found: np.ndarray, expected: int) -> str | None:
        """See ServedTask."""
        if not np.isfinite(found).all():
            return "answers with numbers that are not finite"
        if expected and not self.count(export, found):
            return f"finds none of {expected} classes"
        return None

    def count(self, export: Export, found: np.ndarray) -> int:
        """The classes besides the first that the mask shows."""
        shown = np.bincount(export.mask(found, *found.shape[:2]).ravel())
        return int(np.count_nonzero(shown[1:]))

    def compared(self, ours: tuple[Export, np.ndarray], theirs: tuple[Export, np.ndarray]) -> tuple[int, int]:
        """Classes by name, but the first; each that the present model shows counts WHOLE, however few its pixels.

        For the candidate it counts WHOLE times the ratio of its pixels, at most twice, without those to which the
        present model gives another class than the first: so a class that is lost, doubled or taken for another shows.
        """
        side = min(ours[0].size, theirs[0].size)
        (our_classes, our_mask), (their_classes, their_mask) = (
            (export.classes, export.mask(logits, side, side)) for export, logits in (ours, theirs)
        )
        mine = present = 0
        for name in sorted({*our_classes[1:], *their_classes[1:]}):
            a = our_mask == our_classes.index(name) if name in our_classes else np.zeros((side, side), bool)
            b = (
                their_mask == their_classes.index(name)
                if name in their_classes
                else np.zeros((side, side), bool)
            )
            a &= b | (their_mask == 0)
            if b.sum() > FEW_PIXELS:
                present += WHOLE
                mine += round(WHOLE * min(2.0, float(a.sum() / b.sum())))
            elif a.sum() > FEW_PIXELS:
                mine += WHOLE
        return mine, present

    def findings(
        self, found: np.ndarray, export: Export, options: Options, height: int, width: int
    ) -> list[Region]:
        """See ServedTask."""
        return regions.regions(export.mask(found, height, width), export.classes, options.classes)

    def from_dict(self, fields: Mapping[str, Any]) -> Region:
        """See ServedTask."""
        return regions.from_dict(fields)

    def draw(self, image: np.ndarray, findings: Sequence[Region]) -> np.ndarray:
        """Each class but the first laid over the image."""
        return draw(image, findings)

    def coco_results(self, frame: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        """category_id is the value in masks, from 0; the score is 1."""
        for found in frame["objects"]:
            left, top, right, bottom = found["pixels"]
            yield {
                "image_id": frame["frame"],
                "category_id": found["class_id"],
                "segmentation": found["segmentation"],
                "area": found["area"],
                "bbox": [left, top, right - left, bottom - top],
                "score": 1.0,
            }


TASK = SegmentationTask()
