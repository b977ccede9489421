"""Opens a source as a Dataset: converts it to TFRecord files once, and finds them in the cache afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from trainers.datasets import arguments
from trainers.datasets.arguments import PathLike
from trainers.datasets.cache import build_once
from trainers.datasets.dataset import Dataset
from trainers.datasets.files.paths import shortened
from trainers.datasets.files.walking import file_states
from trainers.datasets.formats.format import Reading
from trainers.datasets.formats.recognition import Recognised, recognise
from trainers.datasets.preparing import prepare
from trainers.datasets.splits import subsetting
from trainers.datasets.toy_city import is_toy_city
from trainers.errors import UserError

DEFAULT_CACHE = Path("studies") / "data"  # the one that `python -m tuning.run` uses
_VERSION = 9  # of the conversion; results of other versions in the cache are ignored


def load(
    source: PathLike | None = None,
    cache: PathLike = DEFAULT_CACHE,
    subset: float = 1.0,
    on_progress: Callable[[str], None] | None = None,
    format: str | None = None,
    group_by: str | None = None,
) -> Dataset:
    """Load labelled images as a Dataset that is ready to train on.

    The images are checked and converted to TFRecord files in `cache`. Loading the same unchanged source again
    reads nothing but the cache.

    Args:
        source: a file or folder in any format of `trainers.datasets.formats`, or `s3://bucket/prefix`.
            "toy-city" or None for generated street scenes; "toy-city:night=1,users=5-20" sets their parameters
            (the fields of `trainers.datasets.toy_city.scenes.ToyCity`).
        cache: folder for converted images; created if missing.
        subset: share of the training images to keep, above 0 and at most 1, balanced by class. Validation and
            test images are all kept.
        on_progress: called with one line of text whenever a long step advances.
        format: the NAME of the format to read, if the source holds several; default: the first that is found.
        group_by: a regular expression; images of whose names it matches the same text, or the same first group, stay
            in one part when the source is split. Default: frames of a recording, where names and looks show them.

    Raises:
        UserError: an argument has a wrong type; the source does not exist or has an unknown format; its labels
            refer to undeclared classes, or more than 5% of its images have problems; a part would be empty; the
            cache cannot be written. The message is one line.
    """
    name = None if source is None else arguments.source_name(source)
    return open_dataset(
        name,
        arguments.folder("cache", cache),
        subset=arguments.share("subset", subset),
        on_progress=arguments.callback("on_progress", on_progress),
        reading=arguments.reading(format, group_by),
    )


def no_progress(message: str) -> None:
    """Ignore a progress message."""


def open_dataset(
    source: str | None,
    cache: Path,
    *,
    subset: float = 1.0,
    on_progress: Callable[[str], None] = no_progress,
    reading: Reading = Reading(),  # noqa: B008 - frozen
) -> Dataset:
    """Open a source as a Dataset; `load` describes the arguments and errors, and validates the arguments first."""
    if source is None or is_toy_city(source):
        if reading.fold:
            raise UserError("--folds is for images of one's own: the toy city draws as many as are asked for")
        if reading != Reading():
            raise UserError("the toy city is generated, with its parts; leave out --format and --group-by")
        # imported here: OpenCV and pydantic take as long to import as a thousand images take to convert
        from trainers.datasets.toy_city.generating import open_toy_city
        from trainers.datasets.toy_city.naming import parse_city

        return subsetting.subset(open_toy_city(parse_city(source), cache, on_progress), subset, cache)
    path = local_path(source, on_progress)
    found = recognise(path, reading.format)

    def build(folder: Path) -> Dataset:
        on_progress(f"reading {source} as {found.format.TITLE}")
        return prepare(source, path, found, reading, folder, on_progress, link=True)

    name = shortened(path.stem if path.is_file() else path.resolve().name)
    return subsetting.subset(
        build_once(cache, f"{name}-{_state(path, found, reading)}", build), subset, cache
    )


def local_path(source: str, on_progress: Callable[[str], None] = no_progress) -> Path:
    """The path of a source on this machine; a source on S3 is downloaded first."""
    if not source.startswith("s3://"):
        return Path(source).expanduser()
    from trainers.datasets.s3 import fetching  # imported here: boto3 is slow to import and rarely needed

    return fetching.fetch(source, on_progress)


def _state(path: Path, found: Recognised, reading: Reading) -> str:
    """12 hexadecimal digits that change when a file of the source changes, by names, sizes and times only."""
    state = hashlib.sha256(f"{_VERSION} {found.format.NAME}{reading.key()}".encode())
    for root in found.format.roots(path):
        for file_state in file_states(root):
            state.update(file_state.encode())
    return state.hexdigest()[:12]
