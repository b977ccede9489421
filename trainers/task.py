"""Task: what an answer is. Its metrics, its data, how results are kept, weighed and drawn, and what an export holds."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainers.datasets.dataset import Dataset
from trainers.errors import UserError
from trainers.metrics import Metric
from trainers.objective import Criterion, Objective, parse

# Importing one of these registers its task; none of them imports TensorFlow.
MODULES = ("trainers.detection.task",)


@dataclass(frozen=True)
class Group:
    """Metrics that a report shows together, in one table.

    title: what the rows are. metrics: the metric's name by the row's label.
    sorted_by_value: whether the best row comes first; else the rows stay in their order.
    intervals: whether the table gives each row's interval over the validation images.
    """

    title: str
    metrics: Mapping[str, str]
    sorted_by_value: bool = False
    intervals: bool = False


@dataclass(frozen=True)
class Example:
    """One picture of an image with its truth or a prediction: JPEG bytes, and what it shows."""

    jpeg: bytes
    says: str


@dataclass(frozen=True)
class ExportEvidence:
    """What is known of an export that has been read from the disk and found whole.

    export_id: of its contents. classes: names.
    says: one line: how it was compared with the trained model, and with what result.
    facts: the same as a table's rows, name and value.
    """

    export_id: str
    classes: tuple[str, ...]
    says: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServingSignature:
    """How a model registry describes an export to who runs it.

    loader: a Python file with `_load_pyfunc(path)`, which needs nothing of this project.
    inputs, outputs: (NumPy dtype, shape with -1 for any size) by name.
    example: one input by name.
    requirements: installed packages that the loader needs.
    """

    loader: Path
    inputs: Mapping[str, tuple[str, tuple[int, ...]]]
    outputs: Mapping[str, tuple[str, tuple[int, ...]]]
    example: Mapping[str, np.ndarray]
    requirements: tuple[str, ...] = ("numpy",)


class Task(ABC):
    """A task. The methods that are not abstract have answers that suit a task which keeps no results per image.

    name: as models and studies name it. title: for people.
    default_objective: the metric that a search optimises unless it is told otherwise.
    headline: metrics that are shown beside the objective wherever a trial is listed.
    """

    name: str
    title: str
    default_objective: str
    headline: tuple[str, ...] = ()

    @abstractmethod
    def metrics(self, classes: Sequence[str]) -> Mapping[str, Metric]:
        """Every metric that an evaluation measures on data of these classes, by name."""

    @abstractmethod
    def open_data(
        self,
        source: str | None,
        cache: Path,
        subset: float = 1.0,
        on_progress: Callable[[str], None] = lambda line: None,
    ) -> Dataset:
        """The dataset that `--data` names, None for the task's generated one; converted copies go to `cache`.

        Raises UserError when it is none.
        """

    def ties(self, classes: Sequence[str]) -> tuple[Criterion, ...]:
        """What tells trials apart that are equal by the objective, in that order."""
        return ()

    def objective(self, text: str | None, classes: Sequence[str]) -> Objective:
        """The objective that a person's words name; None for the task's own. Raises UserError with what is offered."""
        return parse(text or self.default_objective, self.metrics(classes), self.ties(classes))

    def groups(self, classes: Sequence[str]) -> tuple[Group, ...]:
        """The tables in which a report breaks a trial's result down."""
        return ()

    def remarks(self, trial: str, values: Mapping[str, float], classes: Sequence[str]) -> list[str]:
        """What a report should point out in a trial's metrics, a sentence each. trial: how to call it."""
        return []

    def write_results(self, trial: Path, step: int, results: Sequence[Any]) -> None:  # noqa: B027
        """Keep the results of every validation image (Metrics.results) in a trial's folder, whole or not at all."""

    def result_files(self, trial: Path) -> list[Path]:
        """The files that `write_results` wrote, of all steps."""
        return []

    def has_results(self, trial: Path, step: int) -> bool:
        """Whether the results at `step` were kept."""
        return False

    def read_results(self, trial: Path, step: int) -> Sequence[Any]:
        """What `write_results` kept; empty where nothing was. Raises UserError when a file is damaged."""
        return ()

    def resampled(
        self,
        results: Sequence[Any],
        classes: Sequence[str],
        counts: Sequence[np.ndarray],
        names: Sequence[str],
    ) -> Mapping[str, Sequence[np.ndarray]]:
        """Metrics when image i is taken counts[k][b, i] times: for each name an array (B,) for each k.

        counts: (B, N) int each. NaN where there is nothing to measure. Names that cannot be told from `results` are
        left out.
        """
        return {}

    def draw(self, results: Sequence[Any], dataset: Dataset, title: str, folder: Path) -> None:  # noqa: B027
        """Draw pictures of a trial's results into `folder`: for MLflow, and for people."""

    def side_by_side(
        self, trials: Mapping[str, Sequence[Any]], dataset: Dataset
    ) -> tuple[str, Sequence[Sequence[Example]]]:
        """A sentence, and for some validation images a row of pictures: the truth, then what each trial predicts.

        trials: results by how the trial is called.
        """
        return "", ()

    @abstractmethod
    def check_export(self, folder: Path) -> ExportEvidence:
        """Read an export. Raises UserError when it is none, is not whole or is not what was trained."""

    @abstractmethod
    def signature(self, folder: Path) -> ServingSignature:
        """How a registry describes the export in `folder`."""


_registered: dict[str, Task] = {}


def register(task: Task) -> Task:
    """Make `task` known by its name and return it. Raises UserError when another task has the name."""
    known = _registered.get(task.name)
    if known is not None and type(known) is not type(task):
        raise UserError(f"two tasks are called '{task.name}'; rename one of them")
    return _registered.setdefault(task.name, task)


def get(name: str) -> Task:
    """The task called `name`. Raises UserError, with the known names, when there is none."""
    for module in MODULES:
        importlib.import_module(module)
    if name not in _registered:
        raise UserError(f"unknown task '{name}'; known are {', '.join(_registered)}")
    return _registered[name]
