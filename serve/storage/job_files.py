"""JobFiles: the files of jobs, on a disk that all machines share, or in an object store, and here while they are needed.

In a store:

    jobs/<id>/input                          the video, if it was uploaded
    jobs/<id>/work/<model>/000000-2.webm     a finished segment's frames, made by the job's second start
    jobs/<id>/work/<model>/000000-2.jsonl    and what was found in them
    jobs/<id>/work/<model>/000000.json       marks them as complete, with the number of the start; written last, and once
    jobs/<id>/result-2/...                   the results, made by the start whose number the finished job has
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from serve.errors import Refused
from serve.jobs.job import Job
from serve.storage.s3 import answered
from serve.video.annotating import RESULT, WORK
from serve.video.segments import SegmentFolder
from trainers.errors import UserError
from trainers.files import sync, write_text
from tuning.stores.store import Away, Conflict, Entry, Store

INPUT, MANIFEST = "input", "manifest.json"  # in the folder of a job, and in that of its results
LEFT_SECONDS = 6 * 3600  # after which the files of a job that does not exist are removed
SWEEP_SECONDS = 3600.0  # between two lists of all objects

log = logging.getLogger(__name__)


class JobFiles:
    """On this machine's disk, or on one that all machines share: one folder a job in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        folder.mkdir(parents=True, exist_ok=True)

    def folder(self, job_id: str) -> Path:
        """The job's folder on this machine."""
        return self.root / job_id

    def reserve(self, job_ids: list[str]) -> None:
        """Prepare for jobs without an uploaded video, before they are in the database."""
        for job_id in job_ids:
            self.folder(job_id).mkdir()
        sync(self.root)

    def add(self, job_id: str, incoming: Path) -> None:
        """Take over the folder `incoming` with the job's input, durably, before the job is in the database."""
        for file in (*incoming.iterdir(), incoming):
            sync(file)
        incoming.replace(self.folder(job_id))
        sync(self.root)

    def known(self, job_id: str) -> bool:
        """Whether the job can be worked on here: where the disk is not mounted, none can."""
        return self.folder(job_id).is_dir()

    def has_input(self, job_id: str) -> bool:
        """Whether its video is kept."""
        return (self.folder(job_id) / INPUT).exists()

    def segments(self, job: Job) -> int:
        """The number of its finished segments."""
        return len(SegmentFolder(self.folder(job.id) / WORK, None).finished())

    def bring(self, job: Job, suffix: str | None, alive: Callable[[], None]) -> None:
        """Have the job's input, if it is kept, and its finished segments in its folder.

        suffix: of the segments' video files, None without. alive: called now and then.
        """

    def keep_segment(self, job: Job, number: int, suffix: str | None) -> None:
        """A segment is finished in the job's folder."""

    def keep_result(self, job: Job, alive: Callable[[], None]) -> None:
        """The results are complete in the job's folder."""

    def path(self, job: Job, name: str) -> Path:
        """Where a finished job's result is, or its INPUT."""
        folder = self.folder(job.id)
        return folder / INPUT if name == INPUT else folder / RESULT / name

    def read(self, job: Job, name: str) -> bytes:
        """A small file of a finished job's results. Raises FileNotFoundError."""
        return self.path(job, name).read_bytes()

    def leave(self, job: Job) -> None:
        """The job has ended: what only the work on it needed is not needed any more."""
        shutil.rmtree(self.folder(job.id) / WORK, ignore_errors=True)

    def clear(self, job_id: str) -> None:
        """Remove the files of a cancelled job, which stays in the list of jobs."""
        for name in (WORK, RESULT):
            shutil.rmtree(self.folder(job_id) / name, ignore_errors=True)
        (self.folder(job_id) / INPUT).unlink(missing_ok=True)

    def remove(self, job_id: str) -> None:
        """Remove everything of the job."""
        shutil.rmtree(self.folder(job_id), ignore_errors=True)

    def sweep(self, exists: Callable[[str], bool], active: Callable[[str], bool]) -> None:
        """Remove what processes that were killed have left of jobs that do not exist."""
        for entry in self.root.glob("*"):
            if time.time() - entry.stat().st_mtime > LEFT_SECONDS and not exists(entry.name):
                shutil.rmtree(entry, ignore_errors=True)


class StoredJobFiles(JobFiles):
    """In `store`, for machines that share no disk: `folder` is this machine's own, and may be lost at any time.

    While the store does not answer or refuses, the methods raise Refused (503): the job is tried again later.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        super().__init__(folder)
        self.store = store
        self._unknown: dict[str, float] = {}  # jobs in the store that the database does not have, since when
        self._next_sweep = 0.0

    def reserve(self, job_ids: list[str]) -> None:
        """Nothing: there is no file yet."""

    def add(self, job_id: str, incoming: Path) -> None:
        """See JobFiles."""
        with answered():
            self.store.upload(f"{_key(job_id)}{INPUT}", incoming / INPUT)

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
            there = {entry.key.split("/")[1] for entry in self.store.entries("jobs/")}
        unknown = {job_id for job_id in there if not exists(job_id)}
        self._unknown = {job_id: self._unknown.get(job_id, time.time()) for job_id in unknown}
        for job_id, since in self._unknown.items():
            if time.time() - since > LEFT_SECONDS:
                self.remove(job_id)

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
