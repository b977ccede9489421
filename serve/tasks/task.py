"""ServedTask: what the service must know of a task: its exports, what a network finds, how that is shown and judged.

Batching, jobs, videos, rollouts and the HTTP API are the same for all tasks. A network takes squares and gives one
result for each (`Any` here: DetectionArrays, say), which only its task and its backends look into.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from serve.errors import Refused
from serve.jobs.options import Options
from trainers.errors import UserError


class ServedExport(Protocol):
    """An export of any task, read and verified."""

    @property
    def directory(self) -> Path:
        """Its folder."""

    @property
    def export_id(self) -> str:
        """Twelve hexadecimal digits, a hash of its files."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The content of its manifest.json."""

    @property
    def saved_model(self) -> Path:
        """The SavedModel's folder."""

    @property
    def size(self) -> int:
        """Side of the network's square input, pixels."""

    def square(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (size, size, 3) uint8, as training does it."""


class Finding(Protocol):
    """One thing found in a frame: an object, or the region of a class."""

    @property
    def name(self) -> str:
        """Its class."""

    def to_dict(self, height: int, width: int) -> dict[str, Any]:
        """For JSON, in a frame of that size; at least `class` and `class_id`."""


@dataclass(frozen=True)
class Parity:
    """How a backend's results on the export's samples compare with the trained model's.

    figures: short name -> value, for a table. problem: what is wrong with them, or None.
    """

    figures: Mapping[str, float]
    problem: str | None


class FrameReader(Protocol):
    """Turns the network's results of one video's frames into findings, in order of the frames."""

    def read(self, found: Any, height: int, width: int) -> list[Finding]:
        """The findings of the next frame, in the frame's coordinates."""

    def replay(self, findings: Sequence[Finding]) -> None:
        """Restore the state after a frame that an earlier reader of the same video has read."""


class ServedTask(ABC):
    """The contract of a task that is served.

    name: of the trainers' task. verb: what its models do with an image, as in `/v1/images:detect`. title: for people.
    backends: name -> "module:class" (serve.backends.backend.Backend); imported when the backend is loaded.
    """

    name: str
    verb: str
    title: str
    backends: Mapping[str, str]

    @abstractmethod
    def read(self, folder: Path) -> ServedExport:
        """Read and verify an export. Raises UserError if it is none, or of another task."""

    @abstractmethod
    def check(self, options: Options) -> None:
        """Raise Refused (422) if an option has no meaning for this task."""

    def check_for(self, classes: Sequence[str], options: Options) -> None:
        """Raise Refused (422) if an option has no meaning for this task, or names none of the model's classes."""
        self.check(options)
        for name in options.classes or ():
            if name not in classes:
                known = ", ".join(classes)
                raise Refused(422, f"classes: the model knows no '{name}'; its classes are {known}")

    @abstractmethod
    def sample_squares(self, export: Any) -> np.ndarray:
        """The export's sample images at the network's size, (N, S, S, 3) uint8 RGB."""

    @abstractmethod
    def parity(self, export: Any, found: Sequence[Any]) -> Parity:
        """Compare results for `sample_squares` with those of the trained model."""

    def judged(self, export: Any) -> tuple[np.ndarray, Callable[[Sequence[Any]], float]]:
        """Labelled squares (N, S, S, 3), and the task's metric of results for them: to judge an approximate backend by.

        Raises UserError when the export has too few, as of a task that has no approximate backend.
        """
        raise UserError(f"exports for {self.name} have no images to judge it by")

    @abstractmethod
    def health_sample(self, export: Any) -> tuple[np.ndarray, int]:
        """One of the samples, (S, S, 3), and how much the trained model finds in it (`count`)."""

    @abstractmethod
    def problem(self, export: Any, found: Any, expected: int) -> str | None:
        """What is wrong with a result for `health_sample`, in words after "it", or None."""

    @abstractmethod
    def count(self, export: Any, found: Any) -> int:
        """How many things a result has, for metrics."""

    @abstractmethod
    def compared(self, ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> tuple[int, int]:
        """How much two models find in one image, by which a canary is judged. ours, theirs: export and result."""

    def least_score(self, export: Any, options: Options) -> float:
        """The lowest score that matters to these options, and to `count`; 0 for a task without scores."""
        return 0.0

    @abstractmethod
    def findings(
        self, found: Any, export: Any, options: Options, height: int, width: int
    ) -> Sequence[Finding]:
        """What the options ask for of a result, in a frame of `height` x `width` pixels."""

    def reader(self, export: Any, options: Options) -> FrameReader:
        """A reader for one video."""
        return EachFrameAlone(self, export, options)

    @abstractmethod
    def from_dict(self, fields: Mapping[str, Any]) -> Finding:
        """The inverse of Finding.to_dict."""

    @abstractmethod
    def draw(self, image: np.ndarray, findings: Sequence[Any]) -> np.ndarray:
        """Draw into the (H, W, 3) uint8 RGB image in place, and return it."""

    @abstractmethod
    def coco_results(self, frame: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        """A parsed line of `frame_line` -> COCO results; image_id is the frame index."""

    def settings(self, export: Any, options: Options) -> dict[str, Any]:
        """What a job's manifest says of the model besides its name: JSON values."""
        return {}


class EachFrameAlone:
    """The reader of a task that carries nothing from one frame to the next."""

    def __init__(self, task: ServedTask, export: ServedExport, options: Options) -> None:
        self._task, self._export, self._options = task, export, options

    def read(self, found: Any, height: int, width: int) -> list[Finding]:
        """See FrameReader."""
        return list(self._task.findings(found, self._export, self._options, height, width))

    def replay(self, findings: Sequence[Finding]) -> None:
        """Nothing to restore."""


def frame_line(index: int, time: float, findings: Sequence[Finding], height: int, width: int) -> str:
    """One frame as a line of JSON, line feed included. time: seconds."""
    found = [each.to_dict(height, width) for each in findings]
    return json.dumps({"frame": index, "time": round(time, 4), "objects": found}, ensure_ascii=False) + "\n"
