"""What a task shows of trials and exports: tables, pictures, likely label errors, an export's check and signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Group:
    """A table of a report: some of the task's metrics, one row each.

    title: heading of the label column, e.g. "AP of class". metrics: row label -> metric name, in display order.
    sorted_by_value: sort the rows by value, highest first, and drop rows without a value (-1).
    intervals: give each row its 95% confidence interval; needs Task.resampled.
    """

    title: str
    metrics: Mapping[str, str]
    sorted_by_value: bool = False
    intervals: bool = False


@dataclass(frozen=True)
class Example:
    """A validation image with its ground truth or a prediction drawn on it.

    jpeg: the encoded image. caption: what it shows; also the alternative text.
    """

    jpeg: bytes
    caption: str


@dataclass(frozen=True)
class Suspect:
    """A likely error of a label.

    image: its file name. what: what is wrong, and where. certainty: 0 to 1. examples: pictures of it, if any.
    """

    image: str
    what: str
    certainty: float
    examples: Sequence[Example] = ()


@dataclass(frozen=True)
class ExportEvidence:
    """The result of checking an export: its files are intact, and its predictions equal the trained model's.

    export_id: derived from the hashes of its files (trainers.export.Sealed.export_id).
    classes: class names, in label order; empty if the task has none.
    says: one line for the user: how the export was compared with the trained model, and the result.
    facts: the same result as rows of a table, name -> value.
    """

    export_id: str
    classes: tuple[str, ...]
    says: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServingSignature:
    """How a model registry (MLflow) loads an export and describes its inputs and outputs.

    loader: a Python file that defines `_load_pyfunc(path)`, MLflow's entry point. It is stored with the export and
        must not import this project.
    inputs, outputs: name -> (NumPy dtype, shape), e.g. {"images": ("uint8", (-1, -1, -1, 3))}; -1 is any size.
    example: input name -> array, one example that MLflow stores.
    requirements: names of the packages that the loader imports, of those installed here.
    """

    loader: Path
    inputs: Mapping[str, tuple[str, tuple[int, ...]]]
    outputs: Mapping[str, tuple[str, tuple[int, ...]]]
    example: Mapping[str, np.ndarray]
    requirements: tuple[str, ...] = ("numpy",)


class TunedPostprocessing(Protocol):
    """Settings of what happens after a network, and what they gain on images that they were not tuned on."""

    @property
    def gained(self) -> bool:
        """Whether the gain is beyond chance."""

    def lines(self) -> list[str]:
        """Settings and gain with its interval, for people."""

    def write(self, export: Path) -> None:
        """Give an export the settings; atomic."""
