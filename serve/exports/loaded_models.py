"""LoadedModels: the models in this process's memory, loaded on first use, least recently used ones removed."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from serve import tasks
from serve.backends import choosing
from serve.backends.batching import Batcher
from serve.backends.choosing import Choice
from serve.deployment.settings import Settings
from serve.exports.model_folder import read_model
from serve.tasks.task import ServedExport, ServedTask

MAX_LOADED = 3  # the champion, a candidate, and one that older jobs still need


@dataclass(frozen=True)
class Model:
    """A loaded export. choice: the measurements that decided its backend."""

    export: ServedExport
    batcher: Batcher
    choice: Choice

    @property
    def task(self) -> ServedTask:
        """Its task."""
        return tasks.of(self.export)


class LoadedModels:
    """An LRU cache of models by export id. Models in use are never removed.

    One model is loaded at a time; the loaded ones stay available meanwhile.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._users: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    @contextmanager
    def using(self, export_id: str) -> Iterator[Model]:
        """The model, kept in memory for the duration of the context.

        Raises UserError when the export is missing or incomplete, or no backend can run it.
        """
        with self._lock:
            self._users[export_id] += 1
        try:
            yield self._get(export_id)
        finally:
            with self._lock:
                self._users[export_id] -= 1

    def all(self) -> dict[str, Model]:
        """The models in memory, by export id."""
        with self._lock:
            return dict(self._loaded)

    def close(self) -> None:
        """End their threads."""
        for model in self.all().values():
            model.batcher.close()

    def _get(self, export_id: str) -> Model:
        found = self._cached(export_id)
        if found is not None:
            return found
        with self._loading:
            found = self._cached(export_id)
            if found is not None:
                return found
            export = read_model(self._settings, export_id)
            choice, backend = choosing.load_chosen(
                export, self._settings.threads, self._settings.max_map_drop
            )
            count = partial(tasks.of(export).count, export)
            found = Model(export, Batcher(backend, self._settings.batch or choice.batch, count), choice)
            with self._lock:
                self._loaded[export_id] = found
                unused = [each for each in self._loaded if not self._users[each]]
                excess = len(self._loaded) - MAX_LOADED
                removed = [self._loaded.pop(each) for each in unused[: max(0, excess)]]
            for model in removed:
                model.batcher.close()
            return found

    def _cached(self, export_id: str) -> Model | None:
        with self._lock:
            if export_id in self._loaded:
                self._loaded.move_to_end(export_id)
            return self._loaded.get(export_id)
