"""Detection: the Task (trainers.task) of object detection, with COCO's metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.datasets.dataset import Dataset
from trainers.datasets.formats.format import Reading
from trainers.errors import UserError
from trainers.evidence import Example, ExportEvidence, Group, ServingSignature, Suspect, TunedPostprocessing
from trainers.metrics import LOSS, TOTAL_LOSS, Metric
from trainers.objective import Criterion
from trainers.task import Task, register

if TYPE_CHECKING:
    from trainers.detection.coco_metrics import ImageResult

# values that are equal when rounded to three decimals compare as equal
RESOLUTION = 0.001
# An mAP below this is chance, as is an mAP50 below four times as much. Most trials have such values at the first rung,
# where they rank trials worse than a coin does, but the loss can rank them (tests/benchmarks/rungs.py).
CHANCE = 0.005
SIZES = ("small", "medium", "large")
WEAK = 2.0  # small boxes are reported as a weakness if the mAP of large ones is this many times higher
MOST_LOOKED_AT = 5000  # images whose boxes tell how large objects are
EXAMPLE_SIDE = 64  # pixels; small, because a registry stores the example as text


class Detection(Task):
    """Object detection. Per-image results are of type coco_metrics.ImageResult."""

    name = "detection"
    title = "object detection"
    default_objective = "mAP"
    headline = ("mAP", "mAP50")
    results_name = "detections"

    def metrics(self, classes: Sequence[str]) -> Mapping[str, Metric]:
        """COCO's twelve numbers, `AP/<class>`, and the validation losses."""
        from trainers.detection.coco_metrics import COCO_NAMES

        loose = ("mAP50", "AR1", "AR10", "AR100")
        names = [*COCO_NAMES, *(f"AP/{name}" for name in classes)]
        found = {
            name: Metric(name, "maximize", CHANCE * (4 if name in loose else 1), RESOLUTION) for name in names
        }
        for part in ("total", "classification", "localization"):
            found[f"{LOSS}{part}"] = Metric(f"{LOSS}{part}", "minimize", bounded=False)
        return found

    def ties(self, classes: Sequence[str]) -> tuple[Criterion, ...]:
        """mAP50, then classification plus localization loss, without regularization, whose weight differs by trial.

        The loss ranks trials of one model only: detectors have different losses (focal, sigmoid, anchors).
        """
        total = Criterion("validation loss", ((1.0, TOTAL_LOSS),), "minimize", bounded=False)
        parts = tuple((1.0, f"{LOSS}{part}") for part in ("classification", "localization"))
        loss = Criterion(
            "validation loss", parts, "minimize", bounded=False, otherwise=total, between_losses=False
        )
        return Criterion("mAP50", ((1.0, "mAP50"),), "maximize", 4 * CHANCE, RESOLUTION), loss

    def open_data(
        self,
        source: str | None,
        cache: Path,
        subset: float = 1.0,
        on_progress: Callable[[str], None] = lambda line: None,
        reading: Reading = Reading(),  # noqa: B008 - frozen
    ) -> Dataset:
        """Labelled images of any format, or the generated toy city (trainers.datasets.opening)."""
        from trainers.datasets.opening import open_dataset

        return open_dataset(source, cache, subset=subset, on_progress=on_progress, reading=reading)

    def object_sides(self, dataset: Dataset) -> np.ndarray:
        """Of the boxes of the first training images; records are written in a random order."""
        from itertools import islice

        from trainers.datasets.records.reading import read_images

        boxes = [image.boxes for image in islice(read_images(dataset.train.files), MOST_LOOKED_AT)]
        edges = np.concatenate([*boxes, np.zeros((0, 4))])
        sides: np.ndarray = np.sqrt((edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1]))
        return sides

    def groups(self, classes: Sequence[str]) -> tuple[Group, ...]:
        """AP by class; mAP and AR by size of box."""
        by_size = {f"{kind}, {size} boxes": f"{kind}_{size}" for kind in ("mAP", "AR") for size in SIZES}
        by_class = {name: f"AP/{name}" for name in classes}
        return Group("AP of class", by_class, sorted_by_value=True, intervals=True), Group("size", by_size)

    def remarks(self, trial: str, values: Mapping[str, float], classes: Sequence[str]) -> list[str]:
        """The best and the worst class, classes without boxes, and small boxes if they are a weakness."""
        by_class = {name: values.get(f"AP/{name}", -1.0) for name in classes}
        measured = sorted(
            (name for name in by_class if by_class[name] >= 0), key=lambda name: -by_class[name]
        )
        remarks = []
        if len(measured) > 1:
            best, worst = measured[0], measured[-1]
            remarks.append(
                f"{trial} detects {best} best (AP {by_class[best]:.3f}) and {worst} worst ({by_class[worst]:.3f})."
            )
        if missing := [name for name in by_class if by_class[name] < 0]:
            remarks.append(f"The validation images have no boxes of {', '.join(missing)}.")
        small, large = (values.get(f"mAP_{size}", -1.0) for size in ("small", "large"))
        if small >= 0 and large > WEAK * small:
            remarks.append(
                f"Small boxes (under 32 x 32 pixels) are a weakness: mAP {small:.3f}, against {large:.3f} for large "
                "ones. A larger image size would help, but trains more slowly."
            )
        return remarks

    def pack_results(self, path: Path, results: Sequence[ImageResult]) -> Mapping[str, np.ndarray]:
        """The detections; the ground truth is stored once, in the study's folder (results.py)."""
        from trainers.detection import results as files

        return files.pack(path, results)

    def unpack_results(self, path: Path, arrays: Mapping[str, np.ndarray]) -> list[ImageResult]:
        """Ground truth and detections of every validation image."""
        from trainers.detection import results as files

        return files.unpack(path, arrays)

    def resampled(
        self,
        results: Sequence[ImageResult],
        classes: Sequence[str],
        counts: Sequence[np.ndarray],
        names: Sequence[str],
    ) -> Mapping[str, Sequence[np.ndarray]]:
        """COCO's metrics on resamples of the images."""
        from trainers.detection.resampled import resampled

        return resampled(results, classes, counts, names)

    def draw(self, results: Sequence[Any], dataset: Dataset, title: str, folder: Path) -> None:
        """Precision-recall curves, a confusion matrix, and validation images with labels beside detections."""
        from trainers.detection.pictures import charts, contact_sheet
        from trainers.detection.threshold import best_f1

        threshold = best_f1(results, len(dataset.classes))
        charts.precision_recall(results, dataset.classes, title, folder / "precision-recall.png")
        charts.confusion(results, dataset.classes, threshold, title, folder / "confusion.png")
        contact_sheet.draw(results, dataset, threshold, title, folder / "validation.jpg")

    def side_by_side(
        self, trials: Mapping[str, Sequence[Any]], dataset: Dataset
    ) -> tuple[str, Sequence[Sequence[Example]]]:
        """Validation images with ground truth, and each trial's detections above its best threshold."""
        from trainers.detection.pictures.side_by_side import side_by_side

        return side_by_side(trials, dataset)

    def suspects(self, trials: Mapping[str, Sequence[Any]], dataset: Dataset, most: int) -> Sequence[Suspect]:
        """Objects without a box, boxes of another class, and boxes that no trial finds."""
        from trainers.detection.pictures.suspect_images import suspects

        return suspects(trials, dataset, most)

    def check_export(self, folder: Path) -> ExportEvidence:
        """Check the proof in its manifest: the SavedModel against the trained model on validation images."""
        from trainers.detection import export as exports
        from trainers.detection import threshold

        found = exports.read(folder)
        kept = found.manifest.get("proof", {}).get("saved")
        if kept is None:
            raise UserError(f"{folder}: was never compared with the trained model; delete it to export again")
        proof = exports.Proof(**kept)
        if problem := proof.problem():
            raise UserError(f"{folder}: differs from the trained model: {problem}")
        says, facts = proof.says(found.export_id), proof.facts()
        if chosen := threshold.says(folder):
            says, facts = (
                f"{says}; {chosen}",
                {**facts, "score threshold": chosen.removeprefix("score threshold ")},
            )
        return ExportEvidence(found.export_id, found.classes, says, facts)

    def threshold_choice(self, condition: str) -> Callable[[Path], None]:
        """Of "f1", "precision>=.9" or "recall>=.8" (threshold.py)."""
        from trainers.detection import threshold

        parsed = threshold.parse(condition)
        return lambda folder: threshold.change(folder, parsed)

    def tuned_postprocessing(self, results: Sequence[Any], classes: Sequence[str]) -> TunedPostprocessing:
        """Score thresholds, suppression and number of detections (postprocessing/tuning.py)."""
        from trainers.detection.postprocessing.tuning import tune

        return tune(results, classes)

    def signature(self, folder: Path) -> ServingSignature:
        """Input: uint8 images. Outputs: boxes, scores, classes, and the number of detections."""
        import cv2

        from trainers.detection import exported_detector, samples
        from trainers.detection.export import SAMPLES

        image = samples.load(folder / SAMPLES).images[0]
        example = cv2.resize(image, (EXAMPLE_SIDE, EXAMPLE_SIDE), interpolation=cv2.INTER_AREA)[np.newaxis]
        shapes = ((-1, -1, 4), (-1, -1), (-1, -1), (-1,))
        return ServingSignature(
            loader=Path(exported_detector.__file__),
            inputs={"images": ("uint8", (-1, -1, -1, 3))},
            outputs={
                name: ("float32", shape)
                for name, shape in zip(exported_detector.OUTPUTS, shapes, strict=True)
            },
            example={"images": example},
            requirements=("numpy", "tensorflow", "tensorflow-cpu"),
        )


DETECTION = register(Detection())
