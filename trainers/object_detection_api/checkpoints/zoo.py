"""The archives of published COCO checkpoints in the TensorFlow 2 detection model zoo, or a mirror of it.

An archive is fetched once into a cache, over HTTPS unless a mirror says otherwise, and used only if its checkpoint has
exactly the variables that the zoo publishes. The SHA-256 of the archive is recorded at the first download: a later one
of another SHA-256 is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from trainers.datasets.files.paths import UnsafePath, safe_join
from trainers.errors import UserError
from trainers.files import replace_folder, user_cache, write_text
from trainers.object_detection_api.checkpoints import reading
from trainers.object_detection_api.checkpoints.download import Incomplete, Progress, discard, download
from trainers.object_detection_api.detector import Detector
from trainers.object_detection_api.detector import detector as detector_called

# of the archives that tensorflow/models lists in research/object_detection/g3doc/tf2_detection_zoo.md
ZOO_URL = "https://download.tensorflow.org/models/object_detection/tf2/20200711"
MIRROR = (
    "DETECTOR_ZOO_URL"  # environment variable: the address, or a folder, that holds the archives in its place
)
SHA256 = ".sha256"  # suffix of the file with an archive's digest, in hexadecimal; it stays if the archive is deleted


class Unavailable(UserError):
    """The published weights cannot be had here and now, or are not what was published."""


def default_cache() -> Path:
    """The folder of fetched archives: `detector-tuning/zoo` in the user's cache folder."""
    return user_cache("zoo")


def zoo_url() -> str:
    """The address of the folder of archives: the zoo's, or DETECTOR_ZOO_URL. Raises UserError for a strange one."""
    given = os.environ.get(MIRROR)
    if not given:
        return ZOO_URL
    scheme = urlsplit(given).scheme
    if scheme in ("https", "http", "file"):
        return given.rstrip("/")
    if scheme:
        raise UserError(f"{MIRROR}={given}: takes https://, http://, file:// or a folder")
    return Path(given).expanduser().absolute().as_uri()


def archive_of(detector: str) -> Archive:
    """The archive of a detector in the user's cache."""
    return Archive(detector_called(detector), default_cache(), zoo_url())


@dataclass(frozen=True)
class Archive:
    """A detector's published archive. cache: the folder of unpacked archives. url: of the folder that holds it."""

    detector: Detector
    cache: Path
    url: str = ZOO_URL

    @property
    def address(self) -> str:
        """Where it is fetched from."""
        return f"{self.url}/{self.detector.zoo_archive}.tar.gz"

    @property
    def folder(self) -> Path:
        """Where it is unpacked, if it was fetched."""
        return self.cache / self.detector.zoo_archive

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of the archive that was fetched first, in hexadecimal; None if none was, or none was recorded."""
        file = self._sha256_file
        return file.read_text(encoding="utf-8").strip() if file.is_file() else None

    @property
    def _sha256_file(self) -> Path:
        return self.folder.with_name(self.folder.name + SHA256)

    def fetch(self, progress: Progress | None = None) -> Path:
        """Its folder; it is downloaded, verified and unpacked first if it is not there.

        If several processes ask for it, one downloads it and the others wait. A download that was cut short is gone on
        with. Raises Unavailable; UserError if it is another archive than the one that was fetched first.
        """
        part = self.cache / f"{self.folder.name}.part"
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with one_process(self.cache / f"{self.folder.name}.lock"):
                if self.folder.is_dir():
                    return self.folder
                for left in self.cache.glob(f".{self.folder.name}.*"):  # left by a killed process
                    shutil.rmtree(left)
                download(self.address, part, progress)
                try:
                    self._unpack(part)
                finally:
                    discard(part)
        except Incomplete as error:
            raise Unavailable(f"{self.address}: {error}; what has arrived is kept") from None
        except (OSError, HTTPException) as error:
            reason = " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
            raise Unavailable(f"{self.address} cannot be downloaded: {reason}") from None
        except Unavailable as error:
            raise Unavailable(f"{self.address}: {error}") from None
        return self.folder

    def take(self, fetch: Callable[[Path], None], sha256: str | None) -> Path:
        """See PublishedWeights. sha256: of the archive.

        If several processes ask for it, one fetches it. Raises Unavailable if it does not hold the published variables;
        UserError if it is of another archive than the one that was fetched first.
        """
        self.cache.mkdir(parents=True, exist_ok=True)
        with one_process(self.cache / f"{self.folder.name}.lock"):
            if self.folder.is_dir():
                return self.folder
            with replace_folder(self.folder) as new:
                fetch(new)
                _check_structure(new, self.detector)
                if sha256 is not None:
                    self._record(sha256, self.folder.name)
        return self.folder

    def verify(self) -> None:
        """Read all values of the unpacked checkpoint. Raises UserError if one is damaged, or they are not the zoo's."""
        try:
            _check_structure(self.folder, self.detector)
        except Unavailable as error:
            raise UserError(f"{self.folder}: {error}; remove it, and fetch it again") from None
        reading.check_values(reading.checkpoint_prefix(self.folder))

    def _unpack(self, archive: Path) -> None:
        with archive.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with replace_folder(self.folder) as new:
            _extract(archive, self.folder.name, new)
            _check_structure(new, self.detector)
            self._record(sha256, self.address)

    def _record(self, sha256: str, where: str) -> None:
        """Write the archive's SHA-256 down, or compare it with that of the first one. Raises UserError."""
        first = self.sha256
        if first is None:
            write_text(self._sha256_file, f"{sha256}\n")
        elif first != sha256:
            raise UserError(
                f"{where}: has the SHA-256 {sha256}, and had {first} at first ({self._sha256_file}); delete "
                "that file to use this one"
            )


@contextlib.contextmanager
def one_process(lock: Path) -> Iterator[None]:
    """A context that only one process at a time enters; the kernel releases the lock when a process ends."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _extract(archive: Path, name: str, folder: Path) -> None:
    """Extract the checkpoint and pipeline.config, but not the SavedModel, from the archive's folder `name`.

    Their contents alone: filters of tarfile, which would keep out the rest, came with Python 3.11.4.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                inside = member.name.removeprefix(f"{name}/")
                wanted = inside == "pipeline.config" or inside.startswith("checkpoint/")
                if inside == member.name or not wanted or member.isdir():
                    continue
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    raise Unavailable(f"cannot be unpacked: {member.name} is not a plain file")
                path = safe_join(folder, inside)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError, zlib.error, UnsafePath) as error:
        raise Unavailable(f"cannot be unpacked: {error}") from None


def _check_structure(folder: Path, detector: Detector) -> None:
    try:
        shapes = reading.variable_shapes(reading.checkpoint_prefix(folder))
    except UserError as error:
        raise Unavailable(f"contains no readable checkpoint: {error}") from None
    if reading.digest(shapes) != detector.zoo_digest:
        raise Unavailable(
            f"its checkpoint does not have the {detector.zoo_variables} variables that the zoo publishes "
            f"for {detector.name} (it has {len(shapes)}, or in other shapes)"
        )
