"""Task: the contract of a kind of problem, such as object detection: its metrics, data, per-image results and exports.

A new task is a subclass of Task in a module of its own that calls `register`; nothing else changes.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainers.datasets.dataset import Dataset
from trainers.datasets.formats.format import Reading
from trainers.errors import UserError
from trainers.evidence import Example, ExportEvidence, Group, ServingSignature, Suspect, TunedPostprocessing
from trainers.files import read_arrays, write_arrays
from trainers.metrics import Metric
from trainers.objective import Criterion, Objective, parse

# Importing one of these modules registers its task. None of them imports TensorFlow.
MODULES = ("trainers.detection.task", "trainers.segmentation.task")


class Task(ABC):
    """The contract of a task. `metrics`, `open_data`, `check_export` and `signature` must be implemented.

    The other methods have defaults that suit a task without per-image results: no tie-breakers, tables, confidence
    intervals or pictures. A task that wants these names its results (`results_name`) and implements `pack_results` and
    `unpack_results`; then `resampled` for the intervals, `draw` and `side_by_side` for the pictures. The elements of
    `results` are of a type that the task chooses; nothing else looks into them.

        class Regression(Task):
            name = "regression"
            title = "regression of one value"
            default_objective = "mae"
            headline = ("mae",)

            def metrics(self, classes):
                return {"mae": Metric("mae", "minimize", bounded=False)}

            def open_data(self, source, cache, subset=1.0, on_progress=lambda line: None):
                ...  # returns a trainers.datasets.dataset.Dataset

            def check_export(self, folder):
                sealed = trainers.export.read(folder)  # raises UserError if a file is missing or changed
                return ExportEvidence(sealed.export_id, (), f"export {sealed.export_id}: all files are intact")

            def signature(self, folder):
                return ServingSignature(
                    loader=Path(__file__).with_name("loader.py"),
                    inputs={"x": ("float32", (-1, 8))},
                    outputs={"y": ("float32", (-1,))},
                    example={"x": np.zeros((1, 8), np.float32)},
                )

        REGRESSION = register(Regression())

    name: the word by which models and studies refer to the task. title: its name for people.
    default_objective: the metric that a search optimises without `--objective`; a key of `metrics`.
    headline: names of metrics that every list of trials shows beside the objective.
    results_name: what the files of per-image results are called, e.g. "detections"; "" if none are kept.
    """

    name: str
    title: str
    default_objective: str
    headline: tuple[str, ...] = ()
    results_name: str = ""

    @abstractmethod
    def metrics(self, classes: Sequence[str]) -> Mapping[str, Metric]:
        """Every metric that can be an objective, by name: keys of Metrics.values, and `validation_loss/<part>`.

        classes: class names of the data, in label order.
        """

    @abstractmethod
    def open_data(
        self,
        source: str | None,
        cache: Path,
        subset: float = 1.0,
        on_progress: Callable[[str], None] = lambda line: None,
        reading: Reading = Reading(),  # noqa: B008 - frozen
    ) -> Dataset:
        """Open the dataset that `--data` names.

        source: a path, a URL or a name, as the user wrote it; None for the task's default, generated dataset.
        cache: folder for downloaded and converted copies. subset: the share of the training part to use, in (0, 1].
        on_progress: called with one line of text per stage of a download or conversion.
        reading: `--format` and `--group-by`; passed only if the user gave one, so that a task need not take it.
        Raises UserError if the source is not a dataset of this task.
        """

    def object_sides(self, dataset: Dataset) -> np.ndarray | None:
        """The size of each training object: the root of its area as a share of its image's area, (N,) float, 0 to 1.

        A search chooses its image size by them. None if this task has no objects: then the preset decides.
        """
        return None

    def ties(self, classes: Sequence[str]) -> tuple[Criterion, ...]:
        """Tie-breakers for trials with equal objectives, the first one first."""
        return ()

    def objective(self, text: str | None, classes: Sequence[str]) -> Objective:
        """Parse `--objective`; None means `default_objective`. Raises UserError, with the metrics offered."""
        return parse(text or self.default_objective, self.metrics(classes), self.ties(classes))

    def groups(self, classes: Sequence[str]) -> tuple[Group, ...]:
        """The tables in which a report breaks down the best trials' results."""
        return ()

    def remarks(self, trial: str, values: Mapping[str, float], classes: Sequence[str]) -> list[str]:
        """Sentences that a report prints about a trial's metrics.

        trial: how to refer to it, e.g. "Trial 3". values: the metrics of its last rung, by name (Metrics.flat).
        """
        return []

    def pack_results(self, path: Path, results: Sequence[Any]) -> Mapping[str, np.ndarray]:
        """The arrays to store of one evaluation's per-image results, by name.

        path: where they will be stored: `<study>/trials/<number>/<results_name>-<step>.npz`.
        results: Metrics.results, not empty.
        """
        raise NotImplementedError(f"{type(self).__name__} has a results_name, and no pack_results")

    def unpack_results(self, path: Path, arrays: Mapping[str, np.ndarray]) -> Sequence[Any]:
        """The per-image results of which `pack_results` made the arrays, in dataset order.

        Raises UserError if they do not fit the other files of the study.
        """
        raise NotImplementedError(f"{type(self).__name__} has a results_name, and no unpack_results")

    def tuned_postprocessing(self, results: Sequence[Any], classes: Sequence[str]) -> TunedPostprocessing:
        """What happens after the network, tuned on per-image results (`python -m tuning.postprocess`).

        Raises UserError if there are too few images, or the task has nothing to tune there.
        """
        raise UserError(f"{self.title}: nothing happens after the network that could be tuned")

    def write_results(self, trial: Path, step: int, results: Sequence[Any]) -> None:
        """Store the per-image results of one evaluation (Metrics.results), if there are any; atomic.

        trial: the folder `<study>/trials/<number>`, which exists. step: the rung, in gradient steps.
        """
        if results and self.results_name:
            path = self._results_file(trial, step)
            write_arrays(path, self.pack_results(path, results))

    def result_files(self, trial: Path) -> list[Path]:
        """All files that `write_results` wrote for this trial, of every step; retention may delete them."""
        return list(trial.glob(f"{self.results_name}-*.npz")) if self.results_name else []

    def has_results(self, trial: Path, step: int) -> bool:
        """Whether the results of the rung at `step` are stored."""
        return bool(self.results_name) and self._results_file(trial, step).exists()

    def read_results(self, trial: Path, step: int) -> Sequence[Any]:
        """The results that `write_results` stored, in dataset order; empty if none. UserError for a damaged file."""
        if not self.results_name:
            return []
        path = self._results_file(trial, step)
        arrays = read_arrays(path)
        return self.unpack_results(path, arrays) if arrays else []

    def _results_file(self, trial: Path, step: int) -> Path:
        return trial / f"{self.results_name}-{step}.npz"

    def resampled(
        self,
        results: Sequence[Any],
        classes: Sequence[str],
        counts: Sequence[np.ndarray],
        names: Sequence[str],
    ) -> Mapping[str, Sequence[np.ndarray]]:
        """Metrics of bootstrap resamples, from which a report computes confidence intervals.

        results: of N validation images (read_results). counts: K arrays, (B_k, N) int each; in resample b, image i
        occurs counts[k][b, i] times (0: it is left out). names: the metrics to compute.
        Returns for each name K arrays, (B_k,) float, NaN where a resample has nothing to measure the metric on.
        Names that cannot be computed from `results` are left out. A mean of per-image values, for instance, is
        `[each @ values / each.sum(axis=1) for each in counts]`.
        """
        return {}

    def draw(self, results: Sequence[Any], dataset: Dataset, title: str, folder: Path) -> None:  # noqa: B027
        """Write PNG or JPEG pictures of a trial's results into `folder`; they are logged to MLflow.

        results: as read_results returns them, not empty. title: heading of each picture.
        """

    def side_by_side(
        self, trials: Mapping[str, Sequence[Any]], dataset: Dataset
    ) -> tuple[str, Sequence[Sequence[Example]]]:
        """Validation images with the ground truth and each trial's predictions, for a report.

        trials: per-image results, none empty, by how to refer to the trial, e.g. "trial 3".
        Returns one sentence of explanation, and a row of pictures per image: the ground truth, then each trial.
        """
        return "", ()

    def suspects(self, trials: Mapping[str, Sequence[Any]], dataset: Dataset, most: int) -> Sequence[Suspect]:
        """At most `most` validation labels with which the trials disagree in the same way, the surest first.

        trials: as for `side_by_side`, at least two, the best first.
        """
        return ()

    @abstractmethod
    def check_export(self, folder: Path) -> ExportEvidence:
        """Verify the export in `folder`.

        Raises UserError if it is not an export, a file is missing or changed, or its predictions differ from the
        trained model's by more than the task's tolerance.
        """

    def threshold_choice(self, condition: str) -> Callable[[Path], None]:
        """A function that gives the export in a folder the score threshold of `--threshold-for`; atomic.

        Raises UserError if the condition is not understood, or the task has no threshold; the function, if no score
        meets the condition.
        """
        raise UserError(f"--threshold-for: {self.title} has no score threshold; leave it out")

    @abstractmethod
    def signature(self, folder: Path) -> ServingSignature:
        """How a model registry loads and describes the export in `folder`."""


_registered: dict[str, Task] = {}


def register(task: Task) -> Task:
    """Register `task` under its name, and return it. Raises UserError if another task has that name."""
    known = _registered.get(task.name)
    if known is not None and type(known) is not type(task):
        raise UserError(f"two tasks are called '{task.name}'; rename one of them")
    return _registered.setdefault(task.name, task)


def get(name: str) -> Task:
    """The task called `name`. Raises UserError, with the known names, if there is none."""
    for module in MODULES:
        importlib.import_module(module)
    if name not in _registered:
        raise UserError(f"unknown task '{name}'; known are {', '.join(sorted(_registered))}")
    return _registered[name]
