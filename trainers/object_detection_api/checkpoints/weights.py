"""Where a trial's variables start: from scratch, from a detector's published COCO checkpoint, or from a path.

The published archive is fetched once into a cache, and used only if its checkpoint holds just the variables
that the zoo publishes. TensorFlow is imported only to read a checkpoint's index.
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
from trainers.files import replace_folder, user_cache
from trainers.object_detection_api.detector import Detector
from trainers.object_detection_api.detector import detector as detector_called
from trainers.recipe import InitialWeights

# of the archives that tensorflow/models lists in research/object_detection/g3doc/tf2_detection_zoo.md
ZOO_URL = "http://download.tensorflow.org/models/object_detection/tf2/20200711"
TIMEOUT = 30  # seconds without a byte
CHUNK = 1 << 20  # bytes
# how TensorFlow's object-based checkpoints end a variable's name
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"

# bytes so far, bytes in all (None if the server does not say)
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Start:
    """What `--weights` came to.

    source: for a recipe's `weights`: "none", "zoo" or an absolute path.
    message: one plain sentence for the user.
    """

    source: str
    message: str


class Unavailable(Exception):
    """The published weights cannot be had; the reason is one line."""


def resolve(
    choice: str,
    detector: str,
    *,
    cache: Path | None = None,
    url: str = ZOO_URL,
    progress: Progress | None = None,
) -> Start:
    """What `--weights auto|none|PATH` means for `detector` here; auto fetches the zoo's archive if need be.

    cache: folder of fetched archives; None for `default_cache()`. url: the folder that holds the archives.
    Raises UserError when PATH holds no checkpoint of a detection model.
    """
    if choice == "none":
        return Start("none", f"{detector} trains from scratch, as asked")
    if choice == "auto":
        try:
            folder = fetch(detector_called(detector), cache or default_cache(), url, progress)
        except Unavailable as error:
            return Start("none", f"{detector} trains from scratch: no COCO weights ({error})")
        return Start("zoo", f"{detector} starts from the zoo's COCO weights in {folder}")
    path = Path(choice).expanduser().absolute()
    prefix = checkpoint_prefix(path)
    _check_is_detector(prefix)
    return Start(str(path), f"{detector} starts from {prefix}")


def checkpoint_of(
    weights: InitialWeights, detector: str, *, cache: Path | None = None, url: str = ZOO_URL
) -> Path | None:
    """The checkpoint prefix that a recipe's `weights` stand for here; None for "none".

    Fetches the zoo's archive where this machine lacks it. Raises UserError when there is no such checkpoint.
    """
    if weights.source == "none":
        return None
    if weights.source == "zoo":
        try:
            return checkpoint_prefix(fetch(detector_called(detector), cache or default_cache(), url))
        except Unavailable as error:
            raise UserError(
                f"no COCO weights of {detector} on this machine ({error}); take --weights none"
            ) from None
    return checkpoint_prefix(Path(weights.source))


def default_cache() -> Path:
    """Where archives are kept: `detector-tuning/zoo` in the user's cache folder."""
    return user_cache("zoo")


def fetch(detector: Detector, cache: Path, url: str = ZOO_URL, progress: Progress | None = None) -> Path:
    """The folder of the detector's published archive, fetched and verified if it is not in `cache` yet.

    Of several processes one fetches, and the others wait for it. Raises Unavailable.
    """
    folder = cache / detector.zoo_archive
    address = f"{url}/{detector.zoo_archive}.tar.gz"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _one_process(cache / f"{detector.zoo_archive}.lock"):
            if not folder.is_dir():
                for left in cache.glob(f".{folder.name}.*"):  # by a process that was killed
                    shutil.rmtree(left)
                with replace_folder(folder) as new:
                    _download(address, new / "archive", progress)
                    _unpack(new / "archive", detector.zoo_archive, new)
                    (new / "archive").unlink()
                    _verify(new, detector)
    except (OSError, HTTPException) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise Unavailable(f"{address} cannot be fetched: {reason}") from None
    except Unavailable as error:
        raise Unavailable(f"{address}: {error}") from None
    return folder


def checkpoint_prefix(path: Path) -> Path:
    """The TensorFlow checkpoint that a file prefix, a checkpoint folder or an unpacked zoo archive means.

    Raises UserError when there is none.
    """
    for folder in (path, path / "checkpoint"):
        indices = sorted(folder.glob("*.index"), key=lambda file: (file.stat().st_mtime, file.name))
        if indices:
            return indices[-1].absolute().with_suffix("")
    if path.with_name(path.name + ".index").is_file():
        return path.absolute()
    raise UserError(
        f"{path}: no TensorFlow checkpoint (a .index file) is there; name its folder or its prefix"
    )


def variable_shapes(prefix: Path) -> dict[str, list[int]]:
    """The variables in a checkpoint's index: shape by name, as object-based checkpoints name them.

    Raises UserError when it cannot be read.
    """
    import tensorflow as tf

    try:
        shapes = tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UserError(f"{prefix}: cannot be read as a checkpoint: {' '.join(str(error).split())}") from None
    return {name.removesuffix(VALUE): shape for name, shape in shapes.items() if name.endswith(VALUE)}


def digest(shapes: Mapping[str, list[int]]) -> str:
    """sha256 of the sorted lines `name shape`, like `model/_box_predictor/.../kernel [3, 3, 256, 256]`."""
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check_is_detector(prefix: Path) -> None:
    """Raise UserError unless the checkpoint holds a feature extractor, the least that a trial starts from."""
    if not any("feature_extractor/" in name for name in variable_shapes(prefix)):
        raise UserError(
            f"{prefix}: holds no feature extractor of a detection model; give one of the zoo's structure"
        )


@contextlib.contextmanager
def _one_process(lock: Path) -> Iterator[None]:
    """Wait until no other process is within; the kernel lets the lock go however a process ends."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(address: str, file: Path, progress: Progress | None) -> None:
    with urllib.request.urlopen(address, timeout=TIMEOUT) as response, file.open("wb") as out:
        stated = response.headers["Content-Length"]
        total, done = (int(stated) if stated else None), 0
        while chunk := response.read(CHUNK):
            out.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    if total is not None and done != total:
        raise Unavailable(f"ended after {done} of {total} bytes")


def _unpack(archive: Path, name: str, folder: Path) -> None:
    """Take the checkpoint and the pipeline.config, not the SavedModel, out of the archive's folder `name`."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.name == f"{name}/pipeline.config" or member.name.startswith(f"{name}/checkpoint/"):
                    member.name = member.name.removeprefix(f"{name}/")
                    tar.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise Unavailable(f"is no archive that can be unpacked: {error}") from None


def _verify(folder: Path, detector: Detector) -> None:
    try:
        shapes = variable_shapes(checkpoint_prefix(folder))
    except UserError as error:
        raise Unavailable(f"holds no checkpoint that can be read: {error}") from None
    if digest(shapes) != detector.zoo_digest:
        raise Unavailable(
            f"its checkpoint does not have the {detector.zoo_variables} variables that the zoo publishes "
            f"for {detector.name} (it has {len(shapes)}, or in other shapes)"
        )
