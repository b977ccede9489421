"""SegmentationTrainer: the Trainer (trainers.trainer) of the segmentation models."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from trainers import model as models
from trainers.datasets.dataset import Dataset, Part
from trainers.datasets.records.representative import evenly_spaced, representative
from trainers.errors import Diverged, TrialFailed
from trainers.keras_training import checkpoint as checkpoints
from trainers.keras_training import devices
from trainers.keras_training.graph_cache import GraphCache
from trainers.keras_training.snapshot import SavedVariables
from trainers.metrics import Metrics
from trainers.recipe import Recipe, graph_key
from trainers.segmentation import exporting, metrics
from trainers.segmentation.data.arrays import (
    Arrays,
    TrainingBatches,
    class_weights,
    logit_offsets,
    open_arrays,
    rarest_first,
)
from trainers.segmentation.data.masked_image import MaskedImage, read_masked_images
from trainers.segmentation.exported_segmenter import one_class_regions
from trainers.segmentation.graph import Graph
from trainers.segmentation.losses import LossSettings
from trainers.segmentation.resizing import mask_of
from trainers.segmentation.segmenter import SegmentationRecipe, Segmenter
from trainers.trainer import TrainingCurve

STATISTICS_IMAGES = 64  # for precise batch normalisation in an evaluation
EVALUATED_TOGETHER = 4  # images: their activations stay in a CPU's cache


class SegmentationTrainer:
    """Trains one trial at a time on `dataset`. graphs: of the trainers of a process; None for this one's own."""

    def __init__(self, dataset: Dataset, graphs: GraphCache[Graph] | None = None) -> None:
        self._dataset = dataset
        self._graphs = GraphCache[Graph]() if graphs is None else graphs
        self._arrays: dict[tuple[str, int], Arrays] = {}

    @property
    def step(self) -> int:
        """Gradient steps of the trial so far."""
        return self._step

    def start(self, recipe: Recipe, checkpoint: Path | None = None, of: Recipe | None = None) -> None:
        """Begin a trial at step 0, or resume it from its checkpoint; reuses the graph of an earlier recipe if it can."""
        assert isinstance(recipe, SegmentationRecipe)
        self._recipe = recipe
        self._step = 0 if checkpoint is None else checkpoints.step_of(of or recipe, checkpoint)
        self._graph = self._graph_of(recipe)
        training = self._of("train", recipe.image_size)
        shares = training.shares(len(self._dataset.classes))
        self._loss = _loss_settings(recipe, shares)
        self._offsets = logit_offsets(shares, recipe.logit_adjustment)
        self._rarest_first = rarest_first(shares)
        self._batches = TrainingBatches(training, recipe.batch_size, recipe.augmentations, recipe.seed)
        self._update = self._graph.update(recipe.optimizer)
        self._update.start(recipe.optimizer)
        if checkpoint is None:
            self._graph.initialize(recipe.seed)
            if recipe.averaging is not None:
                self._graph.averaging.start()
        else:
            self._saved().restore(checkpoint / checkpoints.PREFIX)
            # a checkpoint has the settings of the recipe that it was saved for
            self._update.set(recipe.optimizer)

    def train(self, until_step: int) -> TrainingCurve:
        """Train until `step` is `until_step`. Raises Diverged (NaN or infinite loss), TrialFailed (out of memory)."""
        began, compute = time.perf_counter(), 0.0
        steps: list[int] = []
        rates: list[float] = []
        curves: dict[str, list[float]] = defaultdict(list)
        with ThreadPoolExecutor(1) as beside:
            following = beside.submit(self._batches.__getitem__, self._step)
            while self._step < until_step:
                images, masks = following.result()
                following = beside.submit(self._batches.__getitem__, self._step + 1)
                rate = self._recipe.learning_rate(self._step)
                started = time.perf_counter()
                values = self._take_step(images, masks, rate)
                compute += time.perf_counter() - started
                steps.append(self._step)
                rates.append(rate)
                for name, value in values.items():
                    curves[name].append(value)
        seconds = time.perf_counter() - began
        images_seen = len(steps) * self._recipe.batch_size
        return TrainingCurve(
            steps, dict(curves), rates, seconds, compute, images_seen / seconds if steps else 0.0
        )

    def evaluate(self, images: int | None = None) -> Metrics:
        """Evaluate on the validation images at their own size, with averaged weights if the recipe has `averaging`.

        Batch normalisation uses precise statistics (keras_training/batch_norm/statistics.py), as in an export.
        """
        began = time.perf_counter()
        total = self._dataset.validation.images
        count = min(images or total, total)
        results: list[metrics.ImageResult] = []
        losses: dict[str, float] = defaultdict(float)
        with self._as_evaluated():
            for chunk, parts, found in self._predicted(evenly_spaced(total, count)):
                for name, value in parts.items():
                    losses[name] += value * len(chunk) / count
                results += [
                    self._result(*pair, keep=count == total) for pair in zip(chunk, found, strict=True)
                ]
        values = metrics.evaluate(results, self._dataset.classes)
        seconds = time.perf_counter() - began
        return Metrics(self._step, values, dict(losses), count, seconds, results if count == total else ())

    def save(self, directory: Path) -> Future[None]:
        """Write a checkpoint into `directory` in the background; atomic. The future's result raises OSError."""
        snapshot = self._saved().snapshot()
        beside = ThreadPoolExecutor(1)
        written = beside.submit(checkpoints.write, snapshot, self._recipe, self._step, directory)
        beside.shutdown(wait=False)
        return written

    def export(self, directory: Path) -> None:
        """Write an export (segmentation.export) into `directory`; atomic. Raises TrialFailed if it is inexact."""
        total = self._dataset.validation.images
        with self._as_evaluated():
            trained = (
                pair
                for chunk, _, found in self._predicted(
                    evenly_spaced(total, min(exporting.PROVEN_IMAGES, total))
                )
                for pair in zip(chunk, found, strict=True)
            )
            decided = exporting.Decision(self._offsets, self._recipe.region_vote, tuple(self._rarest_first))
            exporting.export(
                self._graph, decided, self._recipe, self._dataset, self._step, trained, directory
            )

    def files(self) -> dict[str, str]:
        """Nothing besides."""
        return {}

    def _take_step(self, images: np.ndarray, masks: np.ndarray, rate: float) -> dict[str, float]:
        try:
            parts, gradients = self._graph.gradients(images, masks, self._loss)
            values = {name: float(value) for name, value in parts.items()}
            if bad := [name for name, value in values.items() if not np.isfinite(value)]:
                raise Diverged(f"{bad[0]} loss is {values[bad[0]]} at step {self._step + 1}")
            self._update.apply(gradients, rate, self._recipe.gradient_clip)
        except tf.errors.ResourceExhaustedError as error:
            size = f"batch {self._recipe.batch_size} at {self._recipe.image_size} px"
            raise TrialFailed(f"out of memory with {size}: {' '.join(str(error).split())[:200]}") from None
        if self._recipe.averaging is not None:
            self._graph.averaging.update(
                tf.constant(self._recipe.averaging, tf.float32), tf.constant(self._step, tf.float32)
            )
        self._step += 1
        return values

    def _predicted(
        self, chosen: list[int]
    ) -> Iterator[tuple[list[MaskedImage], dict[str, float], list[np.ndarray]]]:
        """Chunks of the chosen validation images, with mean losses, and predicted masks at the images' own size."""
        arrays = self._of("validation", self._recipe.image_size)
        wanted = set(chosen)
        records = (
            each for i, each in enumerate(read_masked_images(self._dataset.validation.files)) if i in wanted
        )

        def run(start: int) -> tuple[dict[str, float], np.ndarray]:
            places = chosen[start : start + EVALUATED_TOGETHER]
            parts, logits = self._graph.evaluate(arrays.images[places], arrays.masks[places], self._loss)
            return {name: float(value) for name, value in parts.items()}, logits.numpy() + self._offsets

        with ThreadPoolExecutor(1) as beside:  # the network runs while the caller works on the chunk before
            following = beside.submit(run, 0)
            for start in range(0, len(chosen), EVALUATED_TOGETHER):
                parts, logits = following.result()
                if (after := start + EVALUATED_TOGETHER) < len(chosen):
                    following = beside.submit(run, after)
                chunk = list(islice(records, len(logits)))
                found = [mask_of(each, *image.mask.shape) for each, image in zip(logits, chunk, strict=True)]
                yield chunk, parts, found

    def _result(self, image: MaskedImage, found: np.ndarray, keep: bool) -> metrics.ImageResult:
        found = one_class_regions(found, self._recipe.region_vote, self._rarest_first)
        matrix = metrics.confusion(image.mask, found, len(self._dataset.classes))
        png = cv2.imencode(".png", found)[1].tobytes() if keep else b""
        return metrics.ImageResult(matrix, png, image.scored)

    @contextmanager
    def _as_evaluated(self) -> Iterator[None]:
        """A context in which the model's variables have the values for evaluation and export."""
        with ExitStack() as stack:
            if self._recipe.averaging is not None:
                stack.enter_context(self._graph.averaging.in_place())
            stack.enter_context(self._graph.statistics.in_place(self._clean_batches()))
            yield

    def _clean_batches(self) -> Iterable[tf.Tensor]:
        """Training images without augmentation, in batches of one size."""
        arrays = self._of("train", self._recipe.image_size)
        size = min(EVALUATED_TOGETHER, len(arrays.images))
        count = min(STATISTICS_IMAGES, len(arrays.images)) // size * size
        places = representative(len(arrays.images), count)
        for start in range(0, count, size):
            yield tf.constant(arrays.images[places[start : start + size]])

    def _saved(self) -> SavedVariables:
        return self._graph.saved(self._recipe.optimizer, self._recipe.averaging is not None)

    def _of(self, name: str, side: int) -> Arrays:
        if (name, side) not in self._arrays:
            part: Part = self._dataset.parts[name]
            self._arrays[name, side] = open_arrays(part, side)
        return self._arrays[name, side]

    def _graph_of(self, recipe: SegmentationRecipe) -> Graph:
        about = models.get(recipe.model)
        assert isinstance(about, Segmenter)
        classes = len(self._dataset.classes)
        return self._graphs.get(
            (graph_key(recipe.to_dict()), classes),
            lambda: Graph(lambda: about.network(recipe, classes), recipe.image_size, recipe.flip_test),
        )


_GRAPHS: GraphCache[Graph] = GraphCache()  # of this process: a fold is another dataset for the same graph


def alone_in_process(
    dataset: Dataset, cpus: int, gpu_fraction: float, xla: bool = False
) -> SegmentationTrainer:
    """The factory of Model.trainer: limits TensorFlow to `cpus` threads and a share of a GPU, for a worker process."""
    devices.configure(cpus, gpu_fraction)
    return SegmentationTrainer(dataset, _GRAPHS)


def _loss_settings(recipe: SegmentationRecipe, shares: np.ndarray) -> LossSettings:
    return LossSettings(
        tf.constant(class_weights(shares, recipe.class_balance)),
        *(tf.constant(value, tf.float32) for value in (recipe.focal_gamma, recipe.dice, recipe.l2 or 0.0)),
    )
