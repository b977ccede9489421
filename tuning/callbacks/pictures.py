"""Draws every trial that is completed, one at a time, in a process of low priority beside the search."""

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

LONGEST_SECONDS = 600.0  # on a machine that trains, with the lowest priority


class Pictures(Callback):
    """`start` begins with what earlier runs left undrawn; `close` waits for the rest.

    drawn: is called with the number of each trial that has pictures. modules: register the task, in the process
        that draws.
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
        self._due: queue.SimpleQueue[TrialRecord | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._draw_all, name="pictures", daemon=True)

    def start(self) -> None:
        """Begin with the completed trials that have none."""
        for record in self._study.records():
            self.ended(record)
        self._thread.start()

    def ended(self, record: TrialRecord) -> None:
        """A trial has its verdict."""
        folder = self._study.trial_folder(record.number)
        found = self._task.has_results(folder, record.step)  # a task without results has nothing to show
        if record.state == "completed" and found and not (folder / PICTURES).is_dir():
            self._due.put(record)

    def close(self) -> None:
        """Wait until all is drawn."""
        self._due.put(None)
        self._thread.join()

    def _draw_all(self) -> None:
        while (record := self._due.get()) is not None:
            try:
                self._draw(record)
            except (
                OSError,
                subprocess.SubprocessError,
            ) as error:  # a search does not end for want of a picture
                said = getattr(error, "stderr", None) or ""
                logging.getLogger(__name__).warning(
                    "trial %s was not drawn: %s %s", record.number, error, said[-500:]
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
            start_new_session=True,  # Ctrl-C is the search's
            env=os.environ | {"PYTHONPATH": python_path(self._modules), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
