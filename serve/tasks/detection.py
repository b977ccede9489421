"""Detection as it is served: boxes with scores, tracked on request, judged by the number of objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from serve import detections
from serve.detections import Detection
from serve.jobs.options import Options
from serve.tasks.task import EachFrameAlone, Finding, FrameReader, Parity, ServedTask
from serve.video.drawing import draw
from serve.video.tracking import Tracker
from trainers.detection import calibration, samples
from trainers.detection import export as exports
from trainers.detection.export import CALIBRATION, SAMPLES, Export
from trainers.detection.samples import DetectionArrays
from trainers.errors import UserError

LEAST_JUDGED = 20  # labelled images, to tell a loss of mAP from chance
MAP_TOLERANCE = 0.001  # largest allowed difference of mAP on the export's samples, either way
# of the threshold: detections from this score on may continue a track (ByteTrack: 0.1, with a threshold from 0.5)
LOW_SCORE_FRACTION = 0.5


class DetectionTask(ServedTask):
    """See ServedTask; a network's result is a DetectionArrays."""

    name = "detection"
    verb = "detect"
    title = "object detection"
    backends = {
        "openvino": "serve.backends.openvino:OpenVino",
        "openvino-int8": "serve.backends.openvino_int8:OpenVinoInt8",
        "onnxruntime": "serve.backends.onnxruntime:OnnxRuntime",
        "tensorflow": "serve.backends.tensorflow:TensorFlow",
    }

    def read(self, folder: Path) -> Export:
        """See ServedTask."""
        return exports.read(folder)

    def check(self, options: Options) -> None:
        """All options are for detectors."""

    def sample_squares(self, export: Export) -> np.ndarray:
        """See ServedTask."""
        return samples.load(export.directory / SAMPLES).images

    def parity(self, export: Export, found: Sequence[DetectionArrays]) -> Parity:
        """mAP, and the largest differences of scores and boxes."""
        shown = samples.load(export.directory / SAMPLES)
        mean_ap, expected = shown.mean_ap(found, export.classes), shown.mean_ap(shown.found, export.classes)
        apart = samples.difference(found, shown.found)
        problem = None
        if abs(mean_ap - expected) > MAP_TOLERANCE:
            problem = f"mAP {mean_ap:.4f}, but the export has {expected:.4f}"
        elif not apart.within():
            problem = f"detections differ from the export's: {asdict(apart)}"
        return Parity({"mAP": mean_ap, "score": apart.score, "IoU": apart.iou}, problem)

    def judged(self, export: Export) -> tuple[np.ndarray, Callable[[Sequence[DetectionArrays]], float]]:
        """Validation images, and mAP."""
        images = calibration.load(export.directory / CALIBRATION)
        if len(images.validation) < LEAST_JUDGED or not sum(map(len, images.true_boxes)):
            raise UserError(
                f"only {len(images.validation)} validation images to judge it by, of {LEAST_JUDGED}"
            )
        return np.stack(images.validation), lambda found: images.mean_ap(found, export.classes)

    def health_sample(self, export: Export) -> tuple[np.ndarray, int]:
        """The sample with most objects."""
        shown = samples.load(export.directory / SAMPLES)
        counts = [self.count(export, each) for each in shown.found]
        best = int(np.argmax(counts))
        return shown.images[best], counts[best]

    def problem(self, export: Export, found: DetectionArrays, expected: int) -> str | None:
        """See ServedTask."""
        if not np.isfinite(found.scores).all() or not np.isfinite(found.boxes).all():
            return "answers with numbers that are not finite"
        if expected and not self.count(export, found):
            return f"finds none of {expected} objects"
        return None

    def count(self, export: Export, found: DetectionArrays) -> int:
        """Objects with at least the export's threshold."""
        return len(export.kept(found).scores)

    def compared(
        self, ours: tuple[Export, DetectionArrays], theirs: tuple[Export, DetectionArrays]
    ) -> tuple[int, int]:
        """The numbers of objects, each above its model's own threshold."""
        return self.count(*ours), self.count(*theirs)

    def least_score(self, export: Export, options: Options) -> float:
        """The lowest threshold of a class, of the export or the options; with tracking, less."""
        own = [] if export.postprocessing is None else export.postprocessing.thresholds
        wanted = _threshold(export, options) * (LOW_SCORE_FRACTION if options.track else 1.0)
        return min(export.threshold, wanted, *own)

    def findings(
        self, found: DetectionArrays, export: Export, options: Options, height: int, width: int
    ) -> list[Detection]:
        """See ServedTask."""
        return detections.objects(found, export, options, height, width)

    def reader(self, export: Export, options: Options) -> FrameReader:
        """One that tracks objects, if the options say so."""
        return Tracked(export, options) if options.track else EachFrameAlone(self, export, options)

    def from_dict(self, fields: Mapping[str, Any]) -> Detection:
        """See ServedTask."""
        box = tuple(fields["box"])
        return Detection(box, fields["score"], fields["class_id"], fields["class"], fields.get("track"))

    def draw(self, image: np.ndarray, findings: Sequence[Detection]) -> np.ndarray:
        """A box each."""
        return draw(image, findings)

    def coco_results(self, frame: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        """See ServedTask."""
        return detections.coco_results([frame])

    def settings(self, export: Export, options: Options) -> dict[str, Any]:
        """The score threshold."""
        return {"threshold": _threshold(export, options)}


class Tracked:
    """The FrameReader that gives objects ids."""

    def __init__(self, export: Export, options: Options) -> None:
        threshold = _threshold(export, options)
        self._export = export
        self._low = options.model_copy(update={"threshold": threshold * LOW_SCORE_FRACTION})
        self._tracker = Tracker(threshold)

    def read(self, found: DetectionArrays, height: int, width: int) -> list[Finding]:
        """The detections that belong to a track."""
        low = detections.objects(found, self._export, self._low, height, width)
        return [each for each in self._tracker.update(low) if each.track is not None]

    def replay(self, findings: Sequence[Any]) -> None:
        """See FrameReader."""
        self._tracker.replay(findings)


def _threshold(export: Export, options: Options) -> float:
    return export.threshold if options.threshold is None else options.threshold


TASK = DetectionTask()
