"""Pictures: draws every completed trial, one at a time, in a low-priority subprocess beside the search."""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from trainers import task as tasks
from trainers.datasets.dataset import Dataset
from tuning.execution.python_path import python_path
from tuning.search.callback import Callback
from tuning.study.study import Study
from tuning.study.trial_folder import PICTURES
from tuning.study.trial_record import TrialRecord

LONGEST_SECONDS = 600.0  # for one trial, at the lowest priority on a machine that trains


class Pictures(Callback):
    """Draws completed trials on a thread, from `start` to `close`.

    drawn: is called with a trial's number once its pictures are written.
    modules: imported in the subprocess, to register the task.
    """

    def __init__(
        self,
        study: Study,
        dataset: Dataset,
        drawn: Callable[[int], None],
        modules: Sequence[str] = (),
    ) -> None:
        self._study = study
        self._dataset = dataset.to_dict()
        self._task = tasks.get(study.manifest.task)
        self._modules = list(modules)
        self._drawn = drawn
        self._queue: queue.SimpleQueue[TrialRecord | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._draw_all, name="pictures", daemon=True)

    def start(self) -> None:
        """Start, with the completed trials that have no pictures yet."""
        for record in self._study.records():
            self.ended(record)
        self._thread.start()

    def ended(self, record: TrialRecord) -> None:
        """Queue the trial if it is completed and can be drawn."""
        folder = self._study.trial_folder(record.number)
        found = self._task.has_results(
            folder, record.step
        )  # without results per image there is nothing to draw
        if record.state == "completed" and found and not (folder / PICTURES).is_dir():
            self._queue.put(record)

    def close(self) -> None:
        """Wait until every queued trial is drawn."""
        self._queue.put(None)
        self._thread.join()

    def _draw_all(self) -> None:
        while (record := self._queue.get()) is not None:
            try:
                self._draw(record)
            except (OSError, subprocess.SubprocessError) as error:  # must not end the search
                stderr = getattr(error, "stderr", None) or ""
                logging.getLogger(__name__).warning(
                    "trial %s was not drawn: %s %s", record.number, error, stderr[-500:]
                )
            else:
                self._drawn(record.number)

    def _draw(self, record: TrialRecord) -> None:
        job = {
            "dataset": self._dataset,
            "folder": str(self._study.trial_folder(record.number).absolute()),
            "title": f"{self._study.name}, trial {record.number}: {self._study.objective.name} {record.value:.3f}",
            "task": self._study.manifest.task,
            "objective": self._study.manifest.objective,
            "modules": self._modules,
            "rungs": [rung.to_dict() for rung in record.rungs],
        }
        subprocess.run(
            [sys.executable, "-m", "tuning.pictures"],
            input=json.dumps(job), text=True, capture_output=True, check=True, timeout=LONGEST_SECONDS,
            start_new_session=True,  # Ctrl-C must reach the driver only
            env=os.environ | {"PYTHONPATH": python_path(self._modules), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
