"""Segmentation: the Task (trainers.task) of giving each pixel of an image a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainers.datasets.dataset import Dataset
from trainers.datasets.formats.format import Reading
from trainers.errors import UserError
from trainers.evidence import Example, ExportEvidence, Group, ServingSignature
from trainers.metrics import LOSS, TOTAL_LOSS, Metric
from trainers.objective import Criterion
from trainers.segmentation.final_score import TARGET
from trainers.task import Task, register

if TYPE_CHECKING:
    from trainers.segmentation.metrics import ImageResult

RESOLUTION = 0.001  # values that are equal when rounded to three decimals compare as equal
EXAMPLE_SIDE = 64  # pixels; small, because a registry stores the example as text


class Segmentation(Task):
    """Semantic segmentation. Per-image results are of type metrics.ImageResult."""

    name = "segmentation"
    title = "semantic segmentation"
    default_objective = "score"
    headline = ("score", "mIoU", "pixel_accuracy")
    results_name = "masks"

    def metrics(self, classes: Sequence[str]) -> Mapping[str, Metric]:
        """`score`, mean IoU, pixel accuracy, `IoU/<class>`, with a class `target` the final score, and the losses."""
        names = ["score", "mIoU", "pixel_accuracy", *(f"IoU/{name}" for name in classes)]
        if TARGET in classes:
            names += ["final_score", "target_weight"]
            names += ["target_IoU/following", "target_IoU/patrol_with_target"]
        found = {name: Metric(name, "maximize", resolution=RESOLUTION) for name in names}
        found[TOTAL_LOSS] = Metric(TOTAL_LOSS, "minimize", bounded=False)
        found[f"{LOSS}cross_entropy"] = Metric(f"{LOSS}cross_entropy", "minimize", bounded=False)
        return found

    def ties(self, classes: Sequence[str]) -> tuple[Criterion, ...]:
        """Mean IoU, then cross-entropy, which all models share whatever loss they are trained with."""
        entropy = ((1.0, f"{LOSS}cross_entropy"),)
        return (
            Criterion("mIoU", ((1.0, "mIoU"),), "maximize", resolution=RESOLUTION),
            Criterion("validation cross-entropy", entropy, "minimize", bounded=False),
        )

    def open_data(
        self,
        source: str | None,
        cache: Path,
        subset: float = 1.0,
        on_progress: Callable[[str], None] = lambda line: None,
        reading: Reading = Reading(),  # noqa: B008 - frozen
    ) -> Dataset:
        """A folder of images and masks, or the toy city with masks (segmentation.data.opening)."""
        from trainers.segmentation.data.opening import open_dataset

        if reading.fold:
            raise UserError("--folds is for labelled boxes; leave it out for images and masks")
        if reading != Reading():
            raise UserError(
                "--format and --group-by are for labelled boxes; leave them out for images and masks"
            )
        return open_dataset(source, cache, subset, on_progress)

    def object_sides(self, dataset: Dataset) -> np.ndarray:
        """Of the pixels of each class in each image (data.region_sizes)."""
        from trainers.segmentation.data.region_sizes import region_sides

        return region_sides(dataset)

    def groups(self, classes: Sequence[str]) -> tuple[Group, ...]:
        """IoU by class."""
        by_class = {name: f"IoU/{name}" for name in classes}
        return (Group("IoU of class", by_class, sorted_by_value=True, intervals=True),)

    def remarks(self, trial: str, values: Mapping[str, float], classes: Sequence[str]) -> list[str]:
        """The best and the worst class, classes without pixels, and the parts of the final score."""
        by_class = {name: values.get(f"IoU/{name}", -1.0) for name in classes}
        known = sorted((name for name in classes if by_class[name] >= 0), key=lambda name: -by_class[name])
        remarks = []
        if len(known) > 1:
            best, worst = known[0], known[-1]
            remarks.append(
                f"{trial} segments {best} best (IoU {by_class[best]:.3f}) and {worst} worst ({by_class[worst]:.3f})."
            )
        if missing := [name for name in classes if by_class[name] < 0]:
            remarks.append(f"The validation images have no pixels of {', '.join(missing)}.")
        if "final_score" in values:
            near, far = (values[f"target_IoU/{name}"] for name in ("following", "patrol_with_target"))
            remarks.append(
                f"Final score {values['final_score']:.3f}: average IoU of the target {near:.3f} when following and "
                f"{far:.3f} on patrol, times {values['target_weight']:.3f}, the share of frames without a mistake."
            )
        return remarks

    def pack_results(self, path: Path, results: Sequence[ImageResult]) -> Mapping[str, np.ndarray]:
        """Confusion matrices and predicted masks (results.py)."""
        from trainers.segmentation import results as files

        return files.pack(results)

    def unpack_results(self, path: Path, arrays: Mapping[str, np.ndarray]) -> list[ImageResult]:
        """The confusion matrix and the predicted mask of every validation image."""
        from trainers.segmentation import results as files

        return files.unpack(arrays)

    def resampled(
        self,
        results: Sequence[ImageResult],
        classes: Sequence[str],
        counts: Sequence[np.ndarray],
        names: Sequence[str],
    ) -> Mapping[str, Sequence[np.ndarray]]:
        """The metrics on resamples of the images; NaN where there is nothing to measure."""
        from trainers.segmentation.metrics import measured

        found = [measured(results, classes, each) for each in counts]
        return {
            name: [np.where(each[name] < 0, np.nan, each[name]) for each in found]
            for name in names
            if all(name in each for each in found)
        }

    def draw(self, results: Sequence[ImageResult], dataset: Dataset, title: str, folder: Path) -> None:
        """A confusion matrix by pixels, and validation images with true and predicted masks."""
        from trainers.segmentation.pictures import charts, contact_sheet

        charts.confusion(results, dataset.classes, title, folder / "confusion.png")
        contact_sheet.draw(results, dataset, title, folder / "validation.jpg")

    def side_by_side(
        self, trials: Mapping[str, Sequence[ImageResult]], dataset: Dataset
    ) -> tuple[str, Sequence[Sequence[Example]]]:
        """Validation images with the true mask, and each trial's."""
        from trainers.segmentation.pictures.contact_sheet import side_by_side

        return side_by_side(trials, dataset)

    def check_export(self, folder: Path) -> ExportEvidence:
        """Check the proof in its manifest: the SavedModel against the trained model on validation images."""
        from trainers.segmentation import export as exports

        found = exports.read(folder)
        if problem := found.proof.problem():
            raise UserError(f"{folder}: differs from the trained model: {problem}")
        return ExportEvidence(
            found.export_id, found.classes, found.proof.says(found.export_id), found.proof.facts()
        )

    def signature(self, folder: Path) -> ServingSignature:
        """Input: uint8 images. Output: a class index for each of their pixels."""
        from trainers.segmentation import export as exports
        from trainers.segmentation import exported_segmenter

        image = exports.read(folder).samples()[0][0]
        return ServingSignature(
            loader=Path(exported_segmenter.__file__),
            inputs={"images": ("uint8", (-1, -1, -1, 3))},
            outputs={"masks": ("uint8", (-1, -1, -1))},
            example={"images": image[np.newaxis, :EXAMPLE_SIDE, :EXAMPLE_SIDE]},
            requirements=("numpy", "opencv-python-headless", "tensorflow", "tensorflow-cpu"),
        )


SEGMENTATION = register(Segmentation())
