"""JobFiles: the files of jobs, on this machine's disk or on one that all machines share."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from serve.jobs.job import Job
from serve.video.annotating import RESULT, WORK
from serve.video.segments import SegmentFolder
from trainers.files import sync
from tuning.stores.store import Entry

INPUT, LOCK, MANIFEST = "input", "lock", "manifest.json"  # in the folder of a job, and in that of its results
LEFT_SECONDS = 6 * 3600  # after which the files of a job that does not exist are removed


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

    def add(self, job_id: str, incoming: Path, uploaded: str | None = None) -> None:
        """Take over the folder `incoming` with the job's input, durably, before the job is in the database.

        uploaded: the object that is its input instead (Submission).
        """
        for file in (*incoming.iterdir(), incoming):
            sync(file)
        incoming.replace(self.folder(job_id))
        sync(self.root)

    def uploaded(self, uri: str) -> Entry | None:
        """The object that a client has sent to a URI of StoredJobFiles.place; None for another URI."""
        return None

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
        for entry in self.folder(job_id).glob("*"):
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != LOCK:
                entry.unlink(missing_ok=True)

    def remove(self, job_id: str) -> None:
        """Remove everything of the job."""
        shutil.rmtree(self.folder(job_id), ignore_errors=True)

    def sweep(self, exists: Callable[[str], bool], active: Callable[[str], bool]) -> None:
        """Remove what processes that were killed have left of jobs that do not exist."""
        for entry in self.root.glob("*"):
            if time.time() - entry.stat().st_mtime > LEFT_SECONDS and not exists(entry.name):
                shutil.rmtree(entry, ignore_errors=True)
