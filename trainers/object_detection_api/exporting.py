"""Writes a trained detector as an export (trainers.detection.export), and proves that it is equal to the trained model.

The proof compares on the same validation images: the SavedModel, read back from disk, with the model as evaluated in
training, and a batch with one image at a time. The effect of the resizing done by serving is measured and stored, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from object_detection.core import standard_fields
from object_detection.data_decoders import tf_example_decoder

from trainers.datasets.dataset import Dataset, Part
from trainers.datasets.label_map import write_label_map
from trainers.detection import export as format_
from trainers.detection import samples, threshold
from trainers.detection.calibration import Calibration, most_images
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.export import Framing
from trainers.detection.samples import DetectionArrays, Samples
from trainers.errors import TrialFailed
from trainers.files import replace_folder
from trainers.keras_training import saved_model
from trainers.object_detection_api.detector import DetectorRecipe
from trainers.object_detection_api.graph import Graph
from trainers.object_detection_api.input_pipeline.batches import Batch
from trainers.object_detection_api.model import learning_phase

Fields = standard_fields.InputDataFields

SAMPLE_IMAGES = (
    16  # enough to detect a wrong conversion; more would cost disk space and start-up time of replicas
)
PROVEN_IMAGES = 100  # for the comparison of the SavedModel with the trained model
# true boxes and classes of an image, and the trained model's detections
Evaluated = tuple[np.ndarray, np.ndarray, DetectionArrays]


class _Serving:
    """images (N, H, W, 3) uint8 -> detection_boxes (N, D, 4), detection_scores, detection_classes (from 1), ..."""

    def __init__(self, graph: Graph, framing: Framing) -> None:
        self._detector = graph.detector
        self._model = graph.detector.model
        self._size = graph.detector.image_size
        self._stretches = framing.resize == "stretch"

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")], autograph=False
    )
    def detect(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        with learning_phase(False):
            inputs, shapes = self._inputs(tf.cast(images, tf.float32))
            predictions = self._detector.predict(inputs, shapes)
            found = self._detector.postprocess(predictions, shapes)
        # from coordinates of the padded input to coordinates of the image
        scale = tf.tile(self._size / tf.cast(shapes[:, :2], tf.float32), [1, 2])[:, tf.newaxis, :]
        return {
            "detection_boxes": tf.clip_by_value(found["detection_boxes"] * scale, 0.0, 1.0),
            "detection_scores": found["detection_scores"],
            "detection_classes": found["detection_classes"] + 1.0,
            "num_detections": found["num_detections"],
            "raw_detection_boxes": found["raw_detection_boxes"] * scale,
            "raw_detection_scores": found["raw_detection_scores"][:, :, -self._model.num_classes :],
            "embedding": self._detector.embedding(predictions),
        }

    def _inputs(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Like the model's own `preprocess`, which resizes the images of a batch one by one."""
        if not self._stretches:
            return self._model.preprocess(images)  # type: ignore[no-any-return]
        normalised = self._detector.architecture.normalised(self._model, images)
        resized = tf.compat.v1.image.resize_images(normalised, [self._size, self._size])
        return resized, tf.tile([[self._size, self._size, 3]], [tf.shape(images)[0], 1])


def export(
    graph: Graph,
    recipe: DetectorRecipe,
    dataset: Dataset,
    step: int,
    evaluated: Iterable[tuple[Batch, Any]],
    results: Sequence[ImageResult],
    directory: Path,
) -> None:
    """Write the export into `directory`; atomic.

    evaluated: batches of validation images in dataset order, with the detections of `Graph.evaluate`; the first ones
        are used. results: of all validation images, for the score threshold.
    Raises TrialFailed if the export's detections differ from the trained model's.
    """
    framing = _framing(graph)
    everything = list(itertools.islice(_trained(evaluated), PROVEN_IMAGES))
    with replace_folder(directory) as folder:
        serving = _Serving(graph, framing)
        saved_model.write(folder / format_.SAVED_MODEL, "detect", serving.detect, graph.detector.variables)
        saved = tf.saved_model.load(str(folder / format_.SAVED_MODEL))
        found = list(_of_original_size(saved, framing, dataset.validation, len(everything)))
        shown = _samples(saved, framing, dataset.validation, everything)
        proof = _proof(saved, shown, found, [trained for *_, trained in everything], dataset.classes)
        proof["saved"] = _saved_proof(framing, found, everything, dataset.classes)
        (folder / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        write_label_map(folder / format_.LABEL_MAP, dataset.classes)
        shown.save(folder / format_.SAMPLES)
        _calibration(dataset, framing, everything).save(folder / format_.CALIBRATION)
        about = {
            "recipe_id": recipe.recipe_id,
            "detector": recipe.model,
            "step": step,
            "data": {"name": dataset.name, "fingerprint": dataset.fingerprint},
            "proof": proof,
            "suppression": _suppression(graph),
        }
        score = threshold.write(folder, results, dataset.classes)
        format_.seal(folder, dataset.classes, framing, score, about)


def _of_original_size(saved: Any, framing: Framing, part: Part, count: int) -> Iterator[DetectionArrays]:
    """The SavedModel's detections in the first `count` images, one at a time, with the trained model's coordinates."""
    for image in itertools.islice(_raw_images(part), count):
        [each] = _detections(saved, image[np.newaxis])
        yield DetectionArrays(each.boxes / _inside(framing, image), each.scores, each.classes)


def _samples(saved: Any, framing: Framing, part: Part, everything: Sequence[Evaluated]) -> Samples:
    """The first images as serving resizes them, with the SavedModel's detections in all of them at once."""
    raw = itertools.islice(_raw_images(part), SAMPLE_IMAGES)
    images = np.stack([framing.square(image) for image in raw])
    true_boxes, true_classes, _ = zip(*everything[: len(images)], strict=True)
    return Samples(images, true_boxes, true_classes, _detections(saved, images))


def _saved_proof(
    framing: Framing,
    found: Sequence[DetectionArrays],
    everything: Sequence[Evaluated],
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """Compare the SavedModel with the trained model in images of original size."""
    true_boxes, true_classes, trained = zip(*everything, strict=True)
    mean_ap = {
        name: samples.mean_ap(framing.size, true_boxes, true_classes, each, classes)
        for name, each in (("trained", trained), ("exported", found))
    }
    proof = format_.Proof(len(found), mean_ap, **asdict(samples.difference(found, trained)))
    if problem := proof.problem():
        raise TrialFailed(f"the export differs from the trained model: {problem}")
    return asdict(proof)


def _calibration(dataset: Dataset, framing: Framing, everything: Sequence[Evaluated]) -> Calibration:
    """The first validation images with their labels, and as many training images, evenly spaced."""
    count = most_images(framing.size)
    true_boxes, true_classes, _ = zip(*everything[:count], strict=True)
    validation = itertools.islice(_raw_images(dataset.validation), len(true_boxes))
    training = _raw_images(dataset.train, max(1, dataset.train.images // count))
    squares = [
        [framing.square(image) for image in images]
        for images in (itertools.islice(training, count), validation)
    ]
    return Calibration(squares[0], squares[1], true_boxes, true_classes)


def _inside(framing: Framing, image: np.ndarray) -> np.ndarray:
    """(1, 4) float32: divide boxes normalised to the image by it to normalise them to the padded square."""
    return framing.restore(np.ones([1, 4], np.float32), image.shape[0], image.shape[1], clip=False)


def _framing(graph: Graph) -> Framing:
    """The detector's resizing and normalisation, derived from how it preprocesses a wide, a black and a white image."""
    size = graph.detector.image_size
    preprocess = graph.detector.model.preprocess
    with learning_phase(False):
        wide, shape = preprocess(tf.zeros([1, size // 2, size, 3]))
        white, _ = preprocess(tf.fill([1, size, size, 3], 255.0))
    stretches = int(shape[0, 0]) == size
    # the last row of a padded image is padding; of a stretched one, none is
    black_value, white_value = wide[0, 0, 0].numpy(), white[0, 0, 0].numpy()
    padding = np.zeros(3) if stretches else wide[0, -1, 0].numpy()
    colour = np.clip(np.round((padding - black_value) * 255.0 / (white_value - black_value)), 0, 255)
    return Framing(size, "stretch" if stretches else "pad", tuple(map(int, colour)))  # type: ignore[arg-type]


def _suppression(graph: Graph) -> dict[str, Any] | None:
    """Settings of the non-maximum suppression from `raw_detection_*` to `detection_*`; None if it is not per class."""
    return graph.detector.architecture.suppression(graph.detector.model)


def _raw_images(part: Part, every: int = 1) -> Iterator[np.ndarray]:
    """Every n-th image in order, (H, W, 3) uint8 RGB."""
    decode = tf_example_decoder.TfExampleDecoder().decode
    for record in tf.data.TFRecordDataset([str(file) for file in part.files]).shard(every, 0):
        yield decode(record)[Fields.image].numpy()


def _trained(evaluated: Iterable[tuple[Batch, Any]]) -> Iterator[Evaluated]:
    """For each validation image: true boxes and classes, and the trained model's detections as evaluated in training."""
    for batch, outcome in evaluated:
        arrays = {name: np.asarray(tensor) for name, tensor in outcome.items()}
        for i in range(int(np.count_nonzero(batch["real"]))):
            count = int(arrays["count"][i])
            labelled = np.asarray(batch["weights"][i]) > 0
            yield (
                np.asarray(batch["boxes"][i])[labelled],
                np.asarray(batch["classes"][i])[labelled].argmax(axis=-1) + 1,
                DetectionArrays(
                    arrays["boxes"][i][:count],
                    arrays["scores"][i][:count],
                    arrays["classes"][i][:count].astype(int) + 1,
                ),
            )


def _detections(saved: Any, images: np.ndarray) -> list[DetectionArrays]:
    out = {name: tensor.numpy() for name, tensor in saved.detect(tf.constant(images)).items()}
    return [
        DetectionArrays(
            out["detection_boxes"][i][:count],
            out["detection_scores"][i][:count],
            out["detection_classes"][i][:count].astype(int),
        )
        for i, count in enumerate(out["num_detections"].astype(int))
    ]


def _proof(
    saved: Any, shown: Samples, found: Sequence[DetectionArrays], trained: Sequence[DetectionArrays],
    classes: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    """Compare the SavedModel in the sample images: of original size, resized by serving, and resized one by one.

    found, trained: of at least these images, by the SavedModel in original size and by the trained model.
    """
    count = len(shown.images)
    exported, trained = found[:count], trained[:count]
    single = [_detections(saved, square[np.newaxis])[0] for square in shown.images]
    mean_ap = {
        name: shown.mean_ap(found, classes)
        for name, found in (("trained", trained), ("exported", exported), ("as_served", shown.found))
    }
    differences = {
        "exported": samples.difference(exported, trained),
        "one_by_one": samples.difference(single, shown.found),
        "as_served": samples.difference(shown.found, trained),
    }
    proof = {"images": count, "mAP": mean_ap, **{name: asdict(each) for name, each in differences.items()}}
    equal = all(
        differences[name].within(score=1e-3, iou=0.99, unmatched=0.0) for name in ("exported", "one_by_one")
    )
    if not equal or abs(mean_ap["exported"] - mean_ap["trained"]) > format_.MAP_TOLERANCE:
        raise TrialFailed(f"the export's detections differ from the trained model's: {proof}")
    return proof
