"""DetectorTrainer: the Trainer (trainers.trainer) of the Object Detection API's models."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from trainers.object_detection_api import compat

compat.install()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from trainers.datasets.dataset import Dataset  # noqa: E402
from trainers.datasets.records.representative import evenly_spaced  # noqa: E402
from trainers.detection import coco_metrics  # noqa: E402
from trainers.errors import Diverged  # noqa: E402
from trainers.keras_training import checkpoint as checkpoint_files  # noqa: E402
from trainers.keras_training import devices  # noqa: E402
from trainers.keras_training.out_of_memory import out_of_memory_as_failure  # noqa: E402
from trainers.metrics import Metrics  # noqa: E402
from trainers.object_detection_api import exporting, pipeline_config  # noqa: E402
from trainers.object_detection_api.checkpoints import checkpoint as checkpoints  # noqa: E402
from trainers.object_detection_api.detector import DetectorRecipe, detector  # noqa: E402
from trainers.object_detection_api.graph import training_inputs  # noqa: E402
from trainers.object_detection_api.graphs import Graphs  # noqa: E402
from trainers.object_detection_api.image_results import image_results  # noqa: E402
from trainers.object_detection_api.input_pipeline import batches  # noqa: E402
from trainers.object_detection_api.input_pipeline.batches import Batch  # noqa: E402
from trainers.object_detection_api.input_pipeline.detail import detail_of  # noqa: E402
from trainers.object_detection_api.input_pipeline.evaluation_input import EvaluationInput  # noqa: E402
from trainers.object_detection_api.input_pipeline.example_sets import ExampleSets  # noqa: E402
from trainers.object_detection_api.input_pipeline.examples import Examples  # noqa: E402
from trainers.object_detection_api.loss_weights import loss_weights_of  # noqa: E402
from trainers.recipe import Recipe  # noqa: E402
from trainers.trainer import TrainingCurve  # noqa: E402


class DetectorTrainer:
    """Trains one trial at a time on `dataset`. threads: number of input pipeline threads. xla: as in Graph.

    zoo_sha256: of the zoo's archives that trials start from, by model; any archive for a model that is not in it.
    graphs: what the trainers of a process build; None for this one's own. devices: as in Graph.
    """

    def __init__(
        self,
        dataset: Dataset,
        threads: int = 2,
        xla: bool = False,
        zoo_sha256: Mapping[str, str] | None = None,
        graphs: Graphs | None = None,
        devices: Sequence[str] = (),
    ) -> None:
        self._xla, self._devices = xla, devices
        self._zoo_sha256 = zoo_sha256 or {}
        self._dataset = dataset
        self._threads = threads
        self._graphs = Graphs() if graphs is None else graphs
        self._example_sets = ExampleSets(dataset.train, dataset.fingerprint, threads)
        self._evaluation_input = EvaluationInput(dataset, threads)
        self._batches: Iterator[Batch] | None = None  # None until training is prepared
        # the step and the results of the newest evaluation on all images
        self._evaluated: tuple[int, Sequence[coco_metrics.ImageResult]] | None = None

    def start(self, recipe: Recipe, checkpoint: Path | None = None, of: Recipe | None = None) -> None:
        """Begin a trial at step 0, or resume it from its checkpoint; reuses the graph of an earlier recipe if possible.

        Raises UserError if the initial weights do not fit the model, or the checkpoint belongs to another recipe;
        TrialFailed (out of memory).
        """
        assert isinstance(recipe, DetectorRecipe)
        with self._out_of_memory_as_failure(recipe):
            self._start(recipe, checkpoint, of or recipe)

    def _start(self, recipe: DetectorRecipe, checkpoint: Path | None, of: Recipe) -> None:
        self._graphs.wait_for_tracing()
        self._recipe, self._evaluated = recipe, None
        self._step = 0 if checkpoint is None else checkpoint_files.step_of(of, checkpoint)
        wanted = self._zoo_sha256.get(recipe.model)
        initial = detector(recipe.model).checkpoint(recipe, wanted)
        devices.check_precision(recipe.precision)
        self._config = self._pipeline(recipe, initial)
        boxes = self._evaluation_input.most_boxes
        self._graph = self._graphs.of(recipe, len(self._dataset.classes), boxes, self._xla, self._devices)
        self._loss_weights = loss_weights_of(recipe, len(self._dataset.classes))
        self._checkpoint, self._batches = checkpoint, None
        if checkpoint is None:
            self._initialize(initial)
        else:
            checkpoints.read_weights(self._graph, recipe, checkpoint)
        if self._graph.has_update(recipe.optimizer):  # so nothing is traced, and the first batches are begun
            self._prepare_training()

    def _prepare_training(self) -> Iterator[Batch]:
        """The batches, once all is built that only training needs: evaluation and export of a checkpoint do without."""
        if self._batches is None:
            with ThreadPoolExecutor(1) as beside:
                ready = beside.submit(self._make_input_ready)
                self._update = self._graph.update(self._recipe.optimizer)
            ready.result()
            self._batches = self._training_batches()  # starts to prepare the first batches in the background
            self._graph.prepare_for(self._recipe)
            factors = self._graph.rate_factors(self._recipe, self._step)
            self._update.start(self._recipe.optimizer, factors)
            if self._checkpoint is not None:
                checkpoints.read(self._graph, self._recipe, self._checkpoint)
                # a checkpoint has the settings of the recipe that it was saved for
                self._update.set(self._recipe.optimizer, factors)
            self._graph.trace_evaluation()
        return self._batches

    @property
    def step(self) -> int:
        """Gradient steps of the trial so far."""
        return self._step

    def train(self, until_step: int) -> TrainingCurve:
        """Train until `step` is `until_step`. Raises Diverged (NaN or infinite loss), TrialFailed (out of memory)."""
        with self._out_of_memory_as_failure(self._recipe):
            upcoming = self._prepare_training()
        began, compute = time.perf_counter(), 0.0
        steps: list[int] = []
        rates: list[float] = []
        losses: dict[str, list[float]] = defaultdict(list)
        while self._step < until_step:
            batch = next(upcoming)
            rate = self._recipe.learning_rate(self._step)
            started = time.perf_counter()
            values = self._take_step(batch, rate)
            compute += time.perf_counter() - started
            steps.append(self._step)
            rates.append(rate)
            for name, value in values.items():
                losses[name].append(value)
        seconds = time.perf_counter() - began
        images = len(steps) * self._recipe.batch_size
        return TrainingCurve(steps, dict(losses), rates, seconds, compute, images / seconds if steps else 0.0)

    def evaluate(self, images: int | None = None) -> Metrics:
        """Evaluate on the validation images, with averaged weights if the recipe has `averaging`.

        Batch normalisation uses precise statistics (batch_norm/statistics.py), as in an export; checkpoints contain
        those of training. images: number of images, evenly spaced and the same in every call; None for all.
        """
        with self._out_of_memory_as_failure(self._recipe), self._as_evaluated():
            return self._evaluate(images)

    def save(self, directory: Path) -> Future[None]:
        """Write a checkpoint into `directory` in the background; atomic. The future's result raises OSError."""
        self._prepare_training()  # with the state of the optimizer
        snapshot = self._graph.saved(self._recipe.optimizer, self._recipe.averaging is not None).snapshot()
        beside = ThreadPoolExecutor(1)
        written = beside.submit(checkpoint_files.write, snapshot, self._recipe, self._step, directory)
        beside.shutdown(wait=False)
        return written

    def export(self, directory: Path) -> None:
        """Write an export (trainers.detection.export) into `directory`; atomic. Raises TrialFailed if it is inexact."""
        with self._out_of_memory_as_failure(self._recipe), self._as_evaluated():
            self._export(directory)

    @staticmethod
    def _out_of_memory_as_failure(recipe: DetectorRecipe) -> AbstractContextManager[None]:
        return out_of_memory_as_failure(f"batch {recipe.batch_size} at {recipe.image_size} px")

    def _initialize(self, initial: Path | None) -> None:
        self._graph.detector.initialize(self._recipe.seed)
        if initial is not None:
            checkpoints.initialize_from(self._graph, initial, self._recipe.weights, self._dataset.classes)
        if self._recipe.averaging is not None:
            self._graph.averaging.start()

    def _make_input_ready(self) -> None:
        self._graph.prepare.trace()
        self._examples()  # decodes them, or opens what has been decoded

    def _export(self, directory: Path) -> None:
        evaluated = (
            (batch, self._graph.evaluate(batch, self._loss_weights)[1])
            for batch in self._validation_batches(self._dataset.validation.images)
        )
        results = self._results_of_all()
        exporting.export(self._graph, self._recipe, self._dataset, self._step, evaluated, results, directory)

    def _results_of_all(self) -> Sequence[coco_metrics.ImageResult]:
        """The results of all validation images at the present step, evaluated now unless `evaluate` just has."""
        if self._evaluated is None or self._evaluated[0] != self._step:
            self._evaluate(None)
        assert self._evaluated is not None
        return self._evaluated[1]

    def files(self) -> dict[str, str]:
        """`pipeline.config`: the trial for the API's own tools."""
        return {"pipeline.config": pipeline_config.render(self._config)}

    def _take_step(self, batch: Batch, rate: float) -> dict[str, float]:
        with self._out_of_memory_as_failure(self._recipe):
            if self._step and self._step == self._recipe.thaws_at:
                self._update.set_factors(self._graph.rate_factors(self._recipe, self._step))
            batch = self._graph.begin_step(batch, self._recipe, self._step)
            losses, gradients = self._graph.gradients(
                batch, self._loss_weights, self._recipe.seed, self._step
            )
            values = {name: float(value) for name, value in losses.items()}
            if bad := [name for name, value in values.items() if not np.isfinite(value)]:
                raise Diverged(f"{bad[0]} loss is {values[bad[0]]} at step {self._step + 1}")
            self._update.apply(gradients, rate, self._recipe.gradient_clip)
        if self._recipe.averaging is not None:
            step = tf.constant(self._step, tf.float32)
            self._graph.averaging.update(tf.constant(self._recipe.averaging, tf.float32), step)
        self._step += 1
        return values

    def _training_batches(self) -> Iterator[Batch]:
        endless: Iterable[Batch] = batches.training_batches(
            self._examples(), self._graph.prepare, self._config.train_config,
            self._recipe.seed, self._step, self._threads,
        )  # fmt: skip
        return iter(endless)

    def _examples(self) -> Examples:
        return self._example_sets.at(detail_of(self._recipe, self._config.model))

    @contextmanager
    def _as_evaluated(self) -> Iterator[None]:
        """A context in which the model's variables have the values for evaluation and export."""
        self._graphs.wait_for_tracing()
        with ExitStack() as stack:
            if self._recipe.averaging is not None:
                stack.enter_context(self._graph.averaging.in_place())
            stack.enter_context(self._graph.statistics.in_place(map(training_inputs, self._clean_batches())))
            yield

    def _evaluate(self, images: int | None) -> Metrics:
        began = time.perf_counter()
        count = min(images or self._dataset.validation.images, self._dataset.validation.images)
        results: list[coco_metrics.ImageResult] = []
        truths = [
            self._evaluation_input.truths[place]
            for place in evenly_spaced(self._dataset.validation.images, count)
        ]
        losses: dict[str, float] = defaultdict(float)
        for batch in self._validation_batches(count):
            parts, found = self._graph.evaluate(batch, self._loss_weights)
            real = int(np.count_nonzero(batch["real"]))
            for name, value in parts.items():
                losses[name] += float(value) * real / count
            results += image_results(batch, found, truths[len(results) : len(results) + real])
        values = coco_metrics.evaluate(results, self._dataset.classes)
        seconds = time.perf_counter() - began
        whole = count == self._dataset.validation.images
        if whole:
            self._evaluated = self._step, results
        return Metrics(self._step, values, dict(losses), count, seconds, results if whole else ())

    def _validation_batches(self, images: int) -> Iterable[Batch]:
        preprocess = self._graph.detector.model.preprocess
        return self._evaluation_input.validation(self._recipe, self._config, preprocess, images)

    def _clean_batches(self) -> Iterable[Batch]:
        preprocess = self._graph.detector.model.preprocess
        return self._evaluation_input.for_statistics(self._recipe, self._config, preprocess)

    def _pipeline(self, recipe: DetectorRecipe, initial: Path | None) -> Any:
        return pipeline_config.pipeline_proto(
            recipe,
            self._dataset.classes,
            train_files=self._dataset.train.files,
            validation_files=self._dataset.validation.files,
            label_map=self._dataset.label_map,
            checkpoint=None if initial is None else str(initial),
            most_validation_boxes=self._evaluation_input.most_boxes,
        )


_GRAPHS = Graphs()  # of this process


def alone_in_process(
    dataset: Dataset,
    cpus: int,
    gpu_fraction: float,
    xla: bool = False,
    zoo_sha256: Mapping[str, str] | None = None,
) -> DetectorTrainer:
    """The factory of Model.trainer: limits TensorFlow to `cpus` threads, and to GPUs or a share of one."""
    devices.configure(cpus, gpu_fraction)
    shared = devices.shared(gpu_fraction)
    return DetectorTrainer(
        dataset, threads=cpus, xla=xla, zoo_sha256=zoo_sha256, graphs=_GRAPHS, devices=shared
    )
