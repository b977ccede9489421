"""Models: the exports that a deployment keeps, and those of them that this process has loaded."""

from __future__ import annotations

import shutil
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serve.backends import choosing
from serve.backends.batching import Batcher
from serve.backends.choosing import Choice
from serve.deployment.settings import Settings
from trainers.detection import export as exports
from trainers.detection.export import Export
from trainers.files import replace_folder

LOADED = 3  # the champion, a candidate, and one that older jobs still want


@dataclass(frozen=True)
class Model:
    """A loaded export. choice: why it runs on the backend it runs on."""

    export: Export
    batcher: Batcher
    choice: Choice


def keep(settings: Settings, folder: Path) -> Export:
    """Copy an export into the deployment's own folder, once, and return it. Raises UserError when it is not whole."""
    given = exports.read(folder)
    kept = settings.models_folder / given.export_id
    if not (kept / exports.MANIFEST).is_file():
        with replace_folder(kept) as new:
            shutil.copytree(folder, new, dirs_exist_ok=True)
    return exports.read(kept)


class Models:
    """Loads exports by id when they are first asked for; the least used are let go, once nobody uses them.

    While one is loaded, and measured, the others answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._users: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    @contextmanager
    def using(self, export_id: str) -> Iterator[Model]:
        """The model, kept while in use. Raises UserError when it is not there, not whole, or no backend can run it."""
        with self._lock:
            self._users[export_id] += 1
        try:
            yield self._get(export_id)
        finally:
            with self._lock:
                self._users[export_id] -= 1

    def loaded(self) -> dict[str, Model]:
        """Those in memory, by export id."""
        with self._lock:
            return dict(self._loaded)

    def close(self) -> None:
        """Let all go."""
        for model in self.loaded().values():
            model.batcher.close()

    def _get(self, export_id: str) -> Model:
        found = self._known(export_id)
        if found is not None:
            return found
        with self._loading:
            found = self._known(export_id)
            if found is not None:
                return found
            export = exports.read(self._settings.models_folder / export_id)
            choice, backend = choosing.chosen(export, self._settings.threads)
            found = Model(export, Batcher(backend, self._settings.batch, export.threshold), choice)
            with self._lock:
                self._loaded[export_id] = found
                idle = [each for each in self._loaded if not self._users[each]]
                spare = len(self._loaded) - LOADED
                let_go = [self._loaded.pop(each) for each in idle[: max(0, spare)]]
            for model in let_go:
                model.batcher.close()
            return found

    def _known(self, export_id: str) -> Model | None:
        with self._lock:
            if export_id in self._loaded:
                self._loaded.move_to_end(export_id)
            return self._loaded.get(export_id)
