"""Initial weights: none, a detector's published COCO checkpoint, or a checkpoint at a path.

The published archive is downloaded once into a cache, over HTTPS, and used only if its checkpoint has exactly the
variables that the zoo publishes. The SHA-256 of the archive is recorded at the first download. A later one of another
SHA-256 is refused, and so is an archive other than the one that a study was begun with (Manifest.zoo_sha256).
TensorFlow is imported only to read a checkpoint's index.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import tarfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from trainers.errors import UserError
from trainers.files import replace_folder, user_cache, write_text
from trainers.object_detection_api.detector import Detector
from trainers.object_detection_api.detector import detector as detector_called
from trainers.recipe import InitialWeights

# of the archives that tensorflow/models lists in research/object_detection/g3doc/tf2_detection_zoo.md
ZOO_URL = "https://download.tensorflow.org/models/object_detection/tf2/20200711"
TIMEOUT = 30  # seconds without a byte
CHUNK = 1 << 20  # bytes
SHA256 = ".sha256"  # suffix of the file with an archive's digest, in hexadecimal; it stays if the archive is deleted
# suffix of variable names in TensorFlow's object-based checkpoints
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"

# called with bytes so far and total bytes (None if unknown)
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Start:
    """The initial weights that `--weights` was resolved to.

    source: for InitialWeights.source: "none", "zoo" or an absolute path.
    message: one sentence for the user.
    sha256: of the zoo's archive, in hexadecimal; None for other weights, and for an archive fetched by a version that
        did not record it.
    """

    source: str
    message: str
    sha256: str | None = None


class Unavailable(Exception):
    """The published weights are not available; the message is one line."""


def resolve(
    choice: str,
    detector: str,
    *,
    cache: Path | None = None,
    url: str = ZOO_URL,
    progress: Progress | None = None,
) -> Start:
    """Resolve `--weights auto|none|PATH` for a detector. "auto" downloads the zoo's archive if it is not cached.

    cache: folder of downloaded archives; None for `default_cache()`. url: address of the folder of archives.
    Raises UserError if PATH is not a checkpoint of a detection model, or the archive is another than at first.
    """
    if choice == "none":
        return Start("none", f"{detector} trains from scratch (--weights none)")
    if choice == "auto":
        try:
            folder = fetch(detector_called(detector), cache or default_cache(), url, progress)
        except Unavailable as error:
            return Start("none", f"{detector} trains from scratch: COCO weights are not available ({error})")
        return Start(
            "zoo", f"{detector} starts from the zoo's COCO weights in {folder}", recorded_sha256(folder)
        )
    path = Path(choice).expanduser().absolute()
    prefix = checkpoint_prefix(path)
    _check_is_detector(prefix)
    return Start(str(path), f"{detector} starts from {prefix}")


def checkpoint_of(
    weights: InitialWeights,
    detector: str,
    *,
    sha256: str | None = None,
    cache: Path | None = None,
    url: str = ZOO_URL,
) -> Path | None:
    """The checkpoint prefix of a recipe's `weights` on this machine; None for "none".

    sha256: of the zoo's archive that is wanted; None for any. Downloads it if it is not cached.
    Raises UserError if there is no such checkpoint, or the archive is another one.
    """
    if weights.source == "none":
        return None
    if weights.source == "zoo":
        try:
            folder = fetch(detector_called(detector), cache or default_cache(), url)
        except Unavailable as error:
            raise UserError(
                f"COCO weights of {detector} are not available on this machine ({error}); use --weights none"
            ) from None
        here = recorded_sha256(folder)
        if sha256 is not None and here is not None and here != sha256:
            raise UserError(
                f"{folder}: is another archive (SHA-256 {here}) than the study was begun with ({sha256}); copy that one "
                f"here, with its {folder.name}{SHA256}"
            )
        return checkpoint_prefix(folder)
    return checkpoint_prefix(Path(weights.source))


def default_cache() -> Path:
    """The folder of downloaded archives: `detector-tuning/zoo` in the user's cache folder."""
    return user_cache("zoo")


def fetch(detector: Detector, cache: Path, url: str = ZOO_URL, progress: Progress | None = None) -> Path:
    """The folder of the detector's published archive, downloaded and verified if it is not in `cache`.

    If several processes ask for it, one downloads it and the others wait. Raises Unavailable; UserError if it is
    another archive than the one that was downloaded first.
    """
    folder = cache / detector.zoo_archive
    address = f"{url}/{detector.zoo_archive}.tar.gz"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _one_process(cache / f"{detector.zoo_archive}.lock"):
            if not folder.is_dir():
                for left in cache.glob(f".{folder.name}.*"):  # left by a killed process
                    shutil.rmtree(left)
                with replace_folder(folder) as new:
                    sha256 = _download(address, new / "archive", progress)
                    _unpack(new / "archive", detector.zoo_archive, new)
                    (new / "archive").unlink()
                    _verify(new, detector)
                    _record(sha256, folder, address)
    except (OSError, HTTPException) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise Unavailable(f"{address} cannot be downloaded: {reason}") from None
    except Unavailable as error:
        raise Unavailable(f"{address}: {error}") from None
    return folder


def recorded_sha256(folder: Path) -> str | None:
    """The SHA-256 of the archive that was unpacked into `folder`, in hexadecimal; None if no version recorded it."""
    file = folder.with_name(folder.name + SHA256)
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def _record(sha256: str, folder: Path, address: str) -> None:
    """Record the digest of an archive that is being unpacked into `folder`, or compare it with the recorded one."""
    first, file = recorded_sha256(folder), folder.with_name(folder.name + SHA256)
    if first is None:
        write_text(file, f"{sha256}\n")
    elif first != sha256:
        raise UserError(
            f"{address}: has the SHA-256 {sha256}, and had {first} at first ({file}); delete that file to use this one"
        )


def checkpoint_prefix(path: Path) -> Path:
    """The prefix of the TensorFlow checkpoint at a path: a prefix, a folder of checkpoints, or an unpacked zoo archive.

    Raises UserError if there is none.
    """
    for folder in (path, path / "checkpoint"):
        indices = sorted(folder.glob("*.index"), key=lambda file: (file.stat().st_mtime, file.name))
        if indices:
            return indices[-1].absolute().with_suffix("")
    if path.with_name(path.name + ".index").is_file():
        return path.absolute()
    raise UserError(f"{path}: no TensorFlow checkpoint (.index file) found; give its folder or its prefix")


def variable_shapes(prefix: Path) -> dict[str, list[int]]:
    """Variable name -> shape, from the index of an object-based checkpoint. Raises UserError if it cannot be read."""
    import tensorflow as tf

    try:
        shapes = tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UserError(f"{prefix}: cannot be read as a checkpoint: {' '.join(str(error).split())}") from None
    return {name.removesuffix(VALUE): shape for name, shape in shapes.items() if name.endswith(VALUE)}


def digest(shapes: Mapping[str, list[int]]) -> str:
    """sha256 of the sorted lines `name shape`, such as `model/_box_predictor/.../kernel [3, 3, 256, 256]`."""
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check_is_detector(prefix: Path) -> None:
    """Raise UserError unless the checkpoint contains a feature extractor, the minimum for initial weights."""
    if not any("feature_extractor/" in name for name in variable_shapes(prefix)):
        raise UserError(
            f"{prefix}: contains no feature extractor of a detection model; its structure must be that of the zoo's"
        )


@contextlib.contextmanager
def _one_process(lock: Path) -> Iterator[None]:
    """A context that only one process at a time enters; the kernel releases the lock when a process ends."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(address: str, file: Path, progress: Progress | None) -> str:
    """Download a file; returns its SHA-256 in hexadecimal."""
    content = hashlib.sha256()
    with urllib.request.urlopen(address, timeout=TIMEOUT) as response, file.open("wb") as out:
        stated = response.headers["Content-Length"]
        total, done = (int(stated) if stated else None), 0
        while chunk := response.read(CHUNK):
            out.write(chunk)
            content.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    if total is not None and done != total:
        raise Unavailable(f"ended after {done} of {total} bytes")
    return content.hexdigest()


def _unpack(archive: Path, name: str, folder: Path) -> None:
    """Extract the checkpoint and pipeline.config, but not the SavedModel, from the archive's folder `name`."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.name == f"{name}/pipeline.config" or member.name.startswith(f"{name}/checkpoint/"):
                    member.name = member.name.removeprefix(f"{name}/")
                    tar.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise Unavailable(f"cannot be unpacked: {error}") from None


def _verify(folder: Path, detector: Detector) -> None:
    try:
        shapes = variable_shapes(checkpoint_prefix(folder))
    except UserError as error:
        raise Unavailable(f"contains no readable checkpoint: {error}") from None
    if digest(shapes) != detector.zoo_digest:
        raise Unavailable(
            f"its checkpoint does not have the {detector.zoo_variables} variables that the zoo publishes "
            f"for {detector.name} (it has {len(shapes)}, or in other shapes)"
        )
