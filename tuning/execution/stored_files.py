"""StoredFiles: a worker's files where the study is in an object store and each machine has only its own disk.

Checkpoints are uploaded on a thread while training goes on; whoever goes on with the trial on another machine fetches
the newest one, and waits a while for one that is still on its way.
"""

from __future__ import annotations

import json
import logging
import queue
import shutil
import socket
import threading
import time
from pathlib import Path

from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.files import write_text
from trainers.recipe import Recipe
from tuning.execution.trial_files import gone
from tuning.stores import cache, folders
from tuning.stores.location import working_copy
from tuning.stores.opening import open_store
from tuning.stores.patience import patiently
from tuning.stores.store import Away, Store
from tuning.study.storage.keys import STUDY_ID, TRIAL_FILES, UPLOADED, checkpoints
from tuning.study.trial_folder import CHECKPOINT, RECIPE, newest_checkpoint

ON_ITS_WAY_SECONDS = 60.0  # that a checkpoint may be uploaded for, after its rung was told
AWAY_SECONDS = 900.0  # that a trial waits, at its start and its end, for a store that does not answer
LOOK_SECONDS = 1.0
FIRST_RETRY, LAST_RETRY = 1.0, 30.0  # seconds before another attempt to upload


def stored_files(place: tuple[str, str, str] | None) -> StoredFiles | None:
    """The files of a worker on this machine; None for a folder that all machines see. place: Job.store."""
    if place is None:
        return None
    uri, study, study_id = place
    return StoredFiles(open_store(uri), working_copy(uri), study, study_id)


class StoredFiles:
    """See TrialFiles. studies: this machine's working copy. study, study_id: the study's name, and its id or ""."""

    own_disk = True

    def __init__(self, store: Store, studies: Path, study: str, study_id: str = "") -> None:
        self.store = store
        self.studies = studies
        self._study = studies / study
        self._study_id = study_id
        self._prefix = f"{study}/"
        self._queue: queue.Queue[tuple[Path, int]] = queue.Queue()  # checkpoint or folder, and its step
        self._recipe_ids: dict[Path, str] = {}
        self._pushed: dict[Path, tuple[int, int]] = {}
        self._sent, self._received = 0, store.received  # bytes that `moved` has not told of, and that it has
        self._refused: tuple[float, Exception] | None = (
            None  # since when uploads have failed, and the last error
        )
        self._at_once = threading.Event()  # set while somebody waits: the next attempt is not put off
        self._thread = threading.Thread(target=self._upload_all, name="uploads", daemon=True)
        self._thread.start()

    def folder(self, number: int) -> Path:
        """The trial's folder on this machine."""
        return self._study / "trials" / str(number)

    def prepare(self, folder: Path, number: int, recipe: Recipe, reported: int) -> str:
        """See TrialFiles."""
        mark = folder / STUDY_ID
        another = mark.is_file() and mark.read_text(encoding="utf-8") != self._study_id
        if another or (
            (folder / RECIPE).is_file() and recipes.read(folder / RECIPE).recipe_id != recipe.recipe_id
        ):
            # of a trial of this number that the driver was lost before it had told of, or of a deleted study
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(mark, self._study_id)
        write_text(folder / RECIPE, recipe.to_yaml())
        self._recipe_ids[folder] = recipe.recipe_id
        cache.make_room(self._study.parents[1], keep=folder)
        here = newest_checkpoint(folder)
        step = here[0] if here else 0
        note = ""
        try:
            found = self._newest(number, recipe, max(reported, step), step)
            if found is not None and found[0] > step:
                newest, kept = found
                patiently(
                    lambda: folders.fetch(self.store, kept, folder / f"{CHECKPOINT}{newest}"), AWAY_SECONDS
                )
                step = found[0]
                note = (
                    f"goes on from step {step} on {socket.gethostname()}, with the checkpoint from the store"
                )
        except folders.Damaged as error:
            note = str(error)
        lost = gone(reported, step)
        return "; ".join(filter(None, (note, lost))) if lost else note

    def _newest(self, number: int, recipe: Recipe, wanted: int, here: int) -> tuple[int, folders.Kept] | None:
        """The newest checkpoint of the trial in the store; waits for one of step `wanted`, which may be on its way."""
        began = time.monotonic()
        while True:
            try:
                newest = None
                for step, key in checkpoints(self.store, self._prefix, number):
                    kept = folders.read(self.store, key)
                    if kept is not None and kept.about.get("recipe_id") == recipe.recipe_id:
                        newest = (step, kept)
                if here >= wanted or (newest and newest[0] >= wanted):
                    return newest
                if time.monotonic() - began > ON_ITS_WAY_SECONDS:
                    return newest
            except Away as error:
                if here >= wanted > 0:
                    return None  # what is here is at least as new
                if time.monotonic() - began > AWAY_SECONDS:
                    raise UserError(f"{error}; run the same command again later") from None
            time.sleep(LOOK_SECONDS)

    def saved(self, checkpoint: Path) -> None:
        """See TrialFiles."""
        self._sent += sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file())
        self._queue.put((checkpoint, int(checkpoint.name.removeprefix(CHECKPOINT))))

    def changed(self, folder: Path, step: int) -> None:
        """See TrialFiles."""
        self._sent += sum(size for _, (_, size) in self._changed_files(folder))
        self._queue.put((folder, step))

    def moved(self) -> tuple[int, int]:
        """See TrialFiles."""
        received = self.store.received
        found = self._sent, received - self._received
        self._sent, self._received = 0, received
        return found

    def finish(self, seconds: float) -> None:
        """See TrialFiles."""
        until = time.monotonic() + seconds
        while self._queue.unfinished_tasks and time.monotonic() < until:
            self._at_once.set()
            time.sleep(0.05)

    def settle(self) -> None:
        """See TrialFiles. However slow the connection is; for a store that does not answer only AWAY_SECONDS."""
        while self._queue.unfinished_tasks:
            refused = self._refused
            if refused is not None and time.monotonic() - refused[0] > AWAY_SECONDS:
                raise UserError(
                    f"the last checkpoint is not in the store ({refused[1]}); run the same command again later"
                )
            time.sleep(0.05)

    def _upload_all(self) -> None:
        while True:
            path, step = self._queue.get()
            wait = FIRST_RETRY
            while True:
                try:
                    self._upload(path, step)
                except FileNotFoundError:
                    break  # a newer checkpoint has taken its place
                except Exception as error:  # noqa: BLE001 - `settle` says what does not pass
                    logging.getLogger(__name__).warning("%s is uploaded later: %s", path, error)
                    self._refused = (self._refused[0] if self._refused else time.monotonic(), error)
                    if self._at_once.wait(wait):
                        self._at_once.clear()
                        time.sleep(FIRST_RETRY)
                    wait = min(2 * wait, LAST_RETRY)
                else:
                    break
            self._refused = None
            self._queue.task_done()

    def _upload(self, path: Path, step: int) -> None:
        whole = path.name.startswith(CHECKPOINT)
        folder = path.parent if whole else path
        key = f"{self._prefix}trials/{folder.name}/"
        if not whole:
            for file, state in self._changed_files(folder):
                self.store.upload(key + file.name, file)
                self._pushed[file] = state
            self.store.write(key + UPLOADED, json.dumps({"step": step}).encode())
            return
        about = {"recipe_id": self._recipe_ids[folder], "host": socket.gethostname(), "time": time.time()}
        folders.upload(self.store, key + path.name, path, about)
        cache.mark_uploaded(path)
        for earlier, old in checkpoints(self.store, self._prefix, int(folder.name)):
            if earlier < step:
                folders.delete(self.store, old)

    def _changed_files(self, folder: Path) -> list[tuple[Path, tuple[int, int]]]:
        """The files that workers write into a trial's folder and the store lacks: time of change and size of each."""
        files = (
            file
            for file in sorted(folder.iterdir())
            if file.is_file() and file.name not in (*TRIAL_FILES, UPLOADED) and not file.name.startswith(".")
        )
        found = [(file, (file.stat().st_mtime_ns, file.stat().st_size)) for file in files]
        return [(file, state) for file, state in found if self._pushed.get(file) != state]
