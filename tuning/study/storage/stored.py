"""StoredStudy: the working copy of a study that is kept in an object store, as the driver sees it.

While the study is open a thread uploads what the driver writes: the journal, at most once in PUSH_SECONDS, and the small
files of the trials. Checkpoints are uploaded by the workers that write them (tuning.execution.stored_files). If the
driver's machine is lost, the study goes on elsewhere from the store; a rung that was told in the last seconds is then
told again by a worker, from the checkpoint that it has.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from trainers.errors import UserError
from tuning.stores import folders, lease
from tuning.stores.location import store_uri
from tuning.stores.opening import open_store
from tuning.stores.patience import patiently
from tuning.stores.small_files import SmallFiles
from tuning.stores.store import Away, Conflict, Entry, Store, answered
from tuning.study.manifest import NAME
from tuning.study.storage import last_writer, whole_folders
from tuning.study.storage.journal_in_store import JournalInStore
from tuning.study.storage.keys import (
    FILES,
    JOURNAL,
    TRIAL_FILES,
    checkpointed,
    checkpoints,
    is_small,
    trial_of,
)  # fmt: skip
from tuning.study.trial_folder import CHECKPOINT, PICTURES, newest_checkpoint

PUSH_SECONDS = 2.0
SHARE = 0.1  # of the time, at most, that uploading a long journal may take
CLOSE_SECONDS = 120.0  # that closing waits for a store that is away


class StoredStudy:
    """The study in `folder`, a working copy of what is in `store` under the study's name."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.prefix = f"{folder.name}/"
        self._lease = lease.Lease(store, self.prefix)
        self._files = SmallFiles(store, self.prefix, folder)
        self._journal = JournalInStore(store, self.prefix, folder, self._files)
        self._touched: set[int] = set()
        self._dropped: set[int] = set()
        self._unwanted: set[int] = set()  # all that were dropped
        self._with_checkpoint: set[int] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._not_before = self._renewed = 0.0
        self._away = False
        self._complained = ""

    @classmethod
    def of(cls, folder: Path) -> StoredStudy | None:
        """The study's place in a store; None if `folder` is not in a working copy."""
        uri = store_uri(folder.parent)
        return None if uri is None else cls(folder, open_store(uri))

    def refresh(self) -> None:
        """Pull what has changed in the store, unless this working copy is the one that was written last.

        Raises UserError when the store refuses, or does not answer.
        """
        with answered():
            held = lease.read(self.store, self.prefix)
            if held is None:
                last_writer.check_not_deleted(self.folder, self.store, self.prefix)
            elif last_writer.is_newest(self.folder, held[0]):
                self._list()
                return
            self._pull()

    def open(self, say: Callable[[str], None] = lambda line: None) -> None:
        """Take the study's lease, pull what has changed, and start to upload. Raises UserError."""
        with answered():
            self._lease.acquire(say)
            if last_writer.is_newest(self.folder, self._lease.before):  # even after a kill
                self._files.adopt(JOURNAL, self._list())
            else:
                self._pull()
            try:
                self._push_journal()
            except Conflict:  # the last upload of a holder that has lost the lease came in between
                self._pull()
                self._push_journal()
        self.folder.mkdir(parents=True, exist_ok=True)
        last_writer.note(self.folder, self._lease.fields)
        self._over.clear()
        self._thread = threading.Thread(target=self._work, name="study store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Upload the rest and give the lease up. Says so when the store stays away."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        until = time.monotonic() + CLOSE_SECONDS
        while True:
            try:
                self._push(everything=True)
                self._lease.release()
            except Away as error:
                if time.monotonic() > until:
                    _say(f"not yet uploaded: {error}; run the same command again on this machine")
                    return
                time.sleep(PUSH_SECONDS)
                continue
            except Conflict:
                _leave(self.store.uri)
            self._files.save()
            return

    def touch(self, number: int) -> None:
        """The driver has written files of this trial, or its worker has uploaded its last ones."""
        with self._lock:
            self._touched.add(number)
            self._dropped |= self._unwanted & {number}  # one was on its way when they were dropped

    def has_checkpoint(self, number: int) -> bool:
        """Whether the store has a checkpoint of the trial, as far as the driver knows."""
        return number in self._with_checkpoint

    def saved_step(self, number: int) -> int:
        """The step of the trial's newest checkpoint in the store; 0 for none, or if it does not answer."""
        try:
            return max((step for step, _ in checkpoints(self.store, self.prefix, number)), default=0)
        except (Away, UserError):
            return 0

    def note_checkpoint(self, number: int) -> None:
        """A worker has saved the trial."""
        self._with_checkpoint.add(number)
        self._unwanted.discard(number)

    def drop_checkpoints(self, number: int) -> None:
        """Delete the trial's checkpoints from the store, soon."""
        with self._lock:
            self._with_checkpoint.discard(number)
            self._dropped.add(number)
            self._unwanted.add(number)

    def has_folder(self, number: int, name: str) -> bool:
        """Whether the store has this folder of a trial. Raises UserError when it does not answer."""
        with answered():
            return folders.read(self.store, f"{self.prefix}trials/{number}/{name}") is not None

    def push_folder(self, number: int, name: str, recipe_id: str = "") -> None:
        """Upload a folder of a trial whole, now. Raises UserError when the store does not answer.

        Within a search, it waits for the store (tuning.stores.patience).
        """
        with answered():
            key, folder = f"{self.prefix}trials/{number}/{name}", self.folder / "trials" / str(number)
            wait, about = None if self._thread else 0.0, {"recipe_id": recipe_id}
            kept = patiently(lambda: folders.upload(self.store, key, folder / name, about), wait)
        whole_folders.note(folder, name, kept)
        if name.startswith(CHECKPOINT):
            self._with_checkpoint.add(number)

    def fetch_trial(self, number: int, checkpoint: bool = True, wait: bool = False) -> None:
        """Pull the trial's small files and, if the store's is newer, its newest checkpoint; and export and pictures.

        wait: as of fetch_trial in working_copy. Raises UserError when they cannot be fetched.
        """
        with answered():
            patiently(lambda: self._fetch_trial(number, checkpoint), None if wait else 0.0)

    def _fetch_trial(self, number: int, checkpoint: bool) -> None:
        folder = self.folder / "trials" / str(number)
        entries = self.store.entries(f"{self.prefix}trials/{number}/")
        self._files.pull(e for e in entries if is_small(self._name(e)) and not self._ours(e))
        if not checkpoint:
            return
        newest = newest_checkpoint(folder)
        step, kept = max(((s, k) for s, k in checkpoints(self.store, self.prefix, number)), default=(0, ""))
        if kept and (newest is None or newest[0] < step) and (found := folders.read(self.store, kept)):
            folders.fetch(self.store, found, folder / f"{CHECKPOINT}{step}")
        whole_folders.fetch(self.store, f"{self.prefix}trials/{number}/", folder)

    def delete_trials_from(self, count: int) -> None:
        """Delete the trials whose numbers are `count` or more: the driver was lost before it had told of them."""
        with answered():
            numbers = {trial_of(self._name(entry)) for entry in self.store.entries(f"{self.prefix}trials/")}
            for number in numbers:
                if number is not None and number >= count:
                    prefix = f"{self.prefix}trials/{number}/"
                    self.store.delete(entry.key for entry in self.store.entries(prefix))

    def _list(self) -> list[Entry]:
        entries = self.store.entries(self.prefix)
        numbers = (checkpointed(self._name(entry)) for entry in entries)
        self._with_checkpoint = {number for number in numbers if number is not None}
        return entries

    def _pull(self) -> None:
        entries = self._list()
        if last_writer.forget_another(self.folder, self.store, self.prefix, bool(self._files.tag(NAME))):
            self._files.forget()
        self._files.pull(entry for entry in entries if is_small(self._name(entry)))

    def _name(self, entry: Entry) -> str:
        return entry.key.removeprefix(self.prefix)

    def _ours(self, entry: Entry) -> bool:
        return self._name(entry).rpartition("/")[2] in TRIAL_FILES

    def _work(self) -> None:
        while not self._over.wait(PUSH_SECONDS):
            try:
                self._push()
            except Away as error:
                if not self._away:
                    _say(f"{error}; the search goes on, and what it writes is uploaded later")
                self._away = True
            except Conflict:
                _leave(self.store.uri)
            except UserError as error:
                self._complain(error)
            except Exception as error:  # noqa: BLE001 - the search goes on without it, and closing tries again
                self._complain(error)
            else:
                self._away = False
                self._complained = ""

    def _complain(self, error: Exception) -> None:
        """Say once what is wrong, until an upload succeeds or something else is wrong."""
        said = " ".join(str(error).split())[:300]
        line = said if isinstance(error, UserError) else f"{type(error).__name__}: {said}"
        if line != self._complained:
            what = f"the study is not uploaded to {self.store.uri} ({line})"
            _say(f"{what}; the search goes on, and tries again")
            logging.getLogger(__name__).debug("the study could not be uploaded", exc_info=error)
        self._complained = line

    def _push(self, everything: bool = False) -> None:
        now = time.monotonic()
        if everything or now - self._renewed >= lease.RENEW_SECONDS:
            self._lease.renew()
            self._renewed = now
        if everything or now >= self._not_before:
            self._push_journal()
            took = time.monotonic() - now
            self._not_before = time.monotonic() + took * (1 / SHARE - 1)
            for name in FILES:
                self._files.push(name)
        with self._lock:
            touched, self._touched = self._touched, set()
            dropped, self._dropped = self._dropped, set()
        try:
            while touched:
                number = next(iter(touched))
                for name in TRIAL_FILES:
                    self._files.push(f"trials/{number}/{name}")
                if (self.folder / "trials" / str(number) / PICTURES).is_dir():
                    self._push_pictures(number)
                touched.discard(number)
            while dropped:
                number = next(iter(dropped))
                for _, key in checkpoints(self.store, self.prefix, number):
                    folders.delete(self.store, key)
                left = self.store.entries(f"{self.prefix}trials/{number}/{CHECKPOINT}")  # by broken uploads
                self.store.delete(entry.key for entry in left)
                dropped.discard(number)
        finally:
            with self._lock:
                self._touched |= touched
                self._dropped |= dropped

    def _push_journal(self) -> None:
        self._journal.push(self._lease.token)

    def _push_pictures(self, number: int) -> None:
        key = f"{self.prefix}trials/{number}/{PICTURES}"
        if folders.read(self.store, key) is None:
            folders.upload(self.store, key, self.folder / "trials" / str(number) / PICTURES, {})


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _leave(uri: str) -> None:
    """End this process: what it writes from now on would not count."""
    _say(f"error: {uri}: another process has taken over the study; this one ends")
    os._exit(2)
