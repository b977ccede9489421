"""StoredJobFiles: the files of jobs in an object store, for machines that share no disk, and here while one works on it.

jobs/<id>/input                          the video, if it was uploaded
jobs/<id>/work/<model>/000000-2.webm     a finished segment's frames, made by the job's second start
jobs/<id>/work/<model>/000000-2.jsonl    and what was found in them
jobs/<id>/work/<model>/000000.json       marks them as complete, with the number of the start; written last, and once
jobs/<id>/result-2/...                   the results, made by the start whose number the finished job has
uploads/<id>/drive.mp4                   a video that a client has sent there; its job has a copy
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from serve.errors import Refused
from serve.jobs.job import Job
from serve.storage.job_files import INPUT, LEFT_SECONDS, JobFiles
from serve.storage.s3 import answered
from serve.video.annotating import RESULT, WORK
from serve.video.segments import SegmentFolder
from trainers.errors import UserError
from trainers.files import sync, write_text
from tuning.stores.store import Away, Conflict, Entry, Store

SWEEP_SECONDS = 3600.0  # between two lists of all objects
UPLOADS, PLACE_SECONDS, VIDEO = "uploads/", 3600, "application/octet-stream"

log = logging.getLogger(__name__)


class StoredJobFiles(JobFiles):
    """In `store`, for machines that share no disk: `folder` is this machine's own, and may be lost at any time.

    While the store does not answer or refuses, the methods raise Refused (503): the job is tried again later.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        super().__init__(folder)
        self.store = store
        self._left: dict[str, float] = {}  # what belongs to no job, by prefix, since when
        self._next_sweep = 0.0

    def reserve(self, job_ids: list[str]) -> None:
        """Nothing: there is no file yet."""

    def add(self, job_id: str, incoming: Path, uploaded: str | None = None) -> None:
        """See JobFiles."""
        key = f"{_key(job_id)}{INPUT}"
        with answered():
            if uploaded is not None:
                self.store.copy(uploaded, key)
            elif (incoming / INPUT).exists():  # not of a video that is fetched by its URI
                self.store.upload(key, incoming / INPUT)

    def place(self, name: str, size: int) -> tuple[str, str]:
        """Where a client may send a video: the URI of an object, and an address for a PUT of VIDEO.

        name: of the video. size: its bytes; a PUT of another number is refused by the store.
        """
        key = f"{UPLOADS}{secrets.token_hex(16)}/{re.sub('[^A-Za-z0-9._-]+', '_', name)[-100:]}"
        with answered():
            return f"{self.store.uri}/{key}", self.store.url(key, PLACE_SECONDS, (VIDEO, size))

    def uploaded(self, uri: str) -> Entry | None:
        """See JobFiles. Raises Refused (422) when nothing is there."""
        prefix = f"{self.store.uri}/{UPLOADS}"
        if not uri.startswith(prefix):
            return None
        found = self.find(UPLOADS + uri.removeprefix(prefix))
        if found is None:
            raise Refused(422, f"{uri}: nothing was sent there, or it was removed meanwhile")
        return found

    def known(self, job_id: str) -> bool:
        """Always: another machine may have its files."""
        return True

    def has_input(self, job_id: str) -> bool:
        """See JobFiles."""
        return self.find(f"{_key(job_id)}{INPUT}") is not None

    def segments(self, job: Job) -> int:
        """See JobFiles. While the store does not answer: how many they were at the job's last start."""
        try:
            marks = self._marks(job)
        except Refused:
            return job.segments
        return next(number for number in range(len(marks) + 1) if number not in marks)

    def bring(self, job: Job, suffix: str | None, alive: Callable[[], None]) -> None:
        """See JobFiles. Segments that were finished here, and that the store lacks, are uploaded."""
        folder = self.folder(job.id)
        if job.source == "upload" and not (folder / INPUT).exists():
            self._download(self.key(job, INPUT), folder / INPUT, alive)
        local, marks = SegmentFolder(folder / WORK, suffix), self._marks(job)
        here = len(local.finished())
        for number in range(max(here, len(marks))):
            alive()
            if number not in marks:
                if number >= here:
                    return
                self.keep_segment(job, number, suffix)
            elif number >= here or not self._equals(job, local, number):
                self._fetch_segment(job, local, number, suffix, alive)
                here = len(local.finished())

    def keep_segment(self, job: Job, number: int, suffix: str | None) -> None:
        """See JobFiles. If another process was first, its segment stays: it has the same frames."""
        local, prefix = SegmentFolder(self.folder(job.id) / WORK, suffix), _work(job)
        with answered():
            if suffix is not None:
                self.store.upload(f"{prefix}{number:06}-{job.claim}.{suffix}", local.video(number))
            self.store.upload(f"{prefix}{number:06}-{job.claim}.jsonl", local.lines(number))
            mark = {"start": job.claim, "segment": json.loads(local.mark(number).read_text(encoding="utf-8"))}
            with contextlib.suppress(Conflict):
                self.store.write(f"{prefix}{number:06}.json", json.dumps(mark).encode(), expected="")

    def keep_result(self, job: Job, alive: Callable[[], None]) -> None:
        """See JobFiles."""
        with answered():
            for path in sorted((self.folder(job.id) / RESULT).iterdir()):
                self.store.upload(self.key(job, path.name), path, lambda size: alive())

    def key(self, job: Job, name: str) -> str:
        """The object with a finished job's result, or its INPUT."""
        return _key(job.id) + (INPUT if name == INPUT else f"{RESULT}-{job.claim}/{name}")

    def read(self, job: Job, name: str) -> bytes:
        """See JobFiles."""
        with answered():
            found = self.store.read(self.key(job, name))
        if found is None:
            raise FileNotFoundError(name)
        return found[0]

    def leave(self, job: Job) -> None:
        """See JobFiles. This machine's copy goes too."""
        shutil.rmtree(self.folder(job.id), ignore_errors=True)
        self._delete(f"{_key(job.id)}{WORK}/")

    def clear(self, job_id: str) -> None:
        """See JobFiles."""
        self.remove(job_id)

    def remove(self, job_id: str) -> None:
        """See JobFiles."""
        super().remove(job_id)
        self._delete(_key(job_id))

    def sweep(self, exists: Callable[[str], bool], active: Callable[[str], bool]) -> None:
        """See JobFiles. Removes this machine's copies of jobs that have ended elsewhere as well."""
        for entry in self.root.glob("*"):
            if time.time() - entry.stat().st_mtime > LEFT_SECONDS and not active(entry.name):
                shutil.rmtree(entry, ignore_errors=True)
        if time.monotonic() < self._next_sweep:
            return
        self._next_sweep = time.monotonic() + SWEEP_SECONDS
        with answered():
            jobs = {entry.key.split("/")[1] for entry in self.store.entries("jobs/")}
            sent = {entry.key for entry in self.store.entries(UPLOADS)}
        left = {_key(job_id) for job_id in jobs if not exists(job_id)} | sent
        self._left = {prefix: self._left.get(prefix, time.time()) for prefix in left}
        for prefix, since in self._left.items():
            if time.time() - since > LEFT_SECONDS:
                self._delete(prefix)

    def find(self, key: str) -> Entry | None:
        """The object `key`; None if there is none."""
        with answered():
            return next((entry for entry in self.store.entries(key) if entry.key == key), None)

    def _marks(self, job: Job) -> set[int]:
        with answered():
            keys = [entry.key.rpartition("/")[2] for entry in self.store.entries(_work(job))]
        return {int(name.removesuffix(".json")) for name in keys if name.endswith(".json")}

    def _mark(self, job: Job, number: int) -> tuple[int, str]:
        """The start that made a segment, and the segment's own mark."""
        with answered():
            found = self.store.read(f"{_work(job)}{number:06}.json")
        if found is None:
            raise Refused(503, f"segment {number} has been removed from the store")
        fields = json.loads(found[0])
        return int(fields["start"]), json.dumps(fields["segment"])

    def _equals(self, job: Job, local: SegmentFolder, number: int) -> bool:
        return local.mark(number).read_text(encoding="utf-8") == self._mark(job, number)[1]

    def _fetch_segment(
        self, job: Job, local: SegmentFolder, number: int, suffix: str | None, alive: Callable[[], None]
    ) -> None:
        start, mark = self._mark(job, number)
        local.mark(number).unlink(missing_ok=True)
        prefix = f"{_work(job)}{number:06}-{start}"
        if suffix is not None:
            self._download(f"{prefix}.{suffix}", local.video(number), alive)
        self._download(f"{prefix}.jsonl", local.lines(number), alive)
        write_text(local.mark(number), mark)

    def _download(self, key: str, path: Path, alive: Callable[[], None]) -> None:
        partial = path.with_name(f".{path.name}.partial")
        with answered():
            try:
                self.store.download(key, partial, lambda size: alive())
            except FileNotFoundError:
                raise UserError(f"{key} is not in the store any more") from None
        sync(partial)
        partial.replace(path)

    def _delete(self, prefix: str) -> None:
        """Delete the objects; what the store does not delete now goes with the job, or is swept up."""
        try:
            self.store.delete([entry.key for entry in self.store.entries(prefix)])
        except (Away, UserError) as error:
            log.warning("%s: not deleted (%s)", prefix, error)


def _key(job_id: str) -> str:
    return f"jobs/{job_id}/"


def _work(job: Job) -> str:
    return f"{_key(job.id)}{WORK}/{job.model}/"
