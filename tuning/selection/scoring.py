"""Scores the images of a pool with a detector: in batches, in flat memory, and each image once even if killed."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk
from trainers.datasets.pictures.picture import BadPicture, Picture, read_picture
from trainers.datasets.splits.perceptual_hash import perceptual_hash
from trainers.errors import UserError
from tuning.selection.network import Network
from tuning.selection.score_store import ScoreStore
from tuning.selection.scored import Found

BATCH = 8  # images
MIRRORED = "mirrored"
AHEAD = 3 * BATCH  # images that are read before they are needed


@dataclass
class PoolScored:
    """names: of the images that can be picked, in alphabetical order. labelled: number that are in the data already.

    problems: what is wrong with each image that cannot be read. scored: number that were scored just now.
    """

    names: list[str] = field(default_factory=list)
    labelled: int = 0
    problems: list[str] = field(default_factory=list)
    scored: int = 0


@dataclass(frozen=True)
class _Read:
    """An image that was read. picture: as training reads it; None with `problem` if it cannot be read."""

    name: str
    size: int
    modified: int
    sha256: str
    networks: frozenset[str]
    picture: Picture | None
    pixels: np.ndarray | None
    problem: str | None = None


def picture_of(data: bytes) -> Picture:
    """An image of the pool as training reads it, upright, as labelling tools show it. Raises BadPicture."""
    return read_picture(data, None, True)


def pixels_of(picture: Picture) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    with Image.open(BytesIO(picture.data)) as image:
        return np.asarray(image.convert("RGB"))


def score_pool(
    pool: Path,
    store: ScoreStore,
    networks: Mapping[str, Network],
    labelled: Collection[str] = frozenset(),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PoolScored:
    """Score every image below `pool` that the store does not have, with every network, and say which can be picked.

    networks: by name; one called NAME:mirrored sees the mirrored images. labelled: SHA-256 of images, in hexadecimal,
    that have labels already; they are left out. progress: called with the images done, and all.
    Raises UserError if there is no image.
    """
    files = list(walk(pool, *IMAGE_SUFFIXES))
    if not files:
        raise UserError(f"{pool}: no images in it ({', '.join(IMAGE_SUFFIXES)})")
    outcome = PoolScored()
    waiting: list[_Read] = []
    done = 0
    for image in _read_ahead(pool, files, store, networks):
        done += 1
        if image is None:
            progress(done, len(files))
            continue
        if image.problem is not None:
            facts = (image.name, image.size, image.modified, image.sha256, 0, 0, 0, image.problem)
            store.add([facts])
            continue
        waiting.append(image)
        if len(waiting) == BATCH:
            outcome.scored += _score(waiting, store, networks)
            waiting = []
        progress(done, len(files))
    if waiting:
        outcome.scored += _score(waiting, store, networks)
    progress(len(files), len(files))
    known = set(labelled)
    for file in files:
        name = file.relative_to(pool).as_posix()
        problem = store.problem(name)
        if problem is not None:
            outcome.problems.append(f"{name}: {problem}")
        elif known and store.sha256(name) in known:
            outcome.labelled += 1
        else:
            outcome.names.append(name)
    return outcome


def _read_ahead(
    pool: Path, files: list[Path], store: ScoreStore, networks: Mapping[str, Network]
) -> Iterator[_Read | None]:
    """Every image that has to be scored, read in other threads; None for one that the store has."""
    with ThreadPoolExecutor(2) as threads:
        ahead: deque[Future[_Read] | None] = deque()
        for file in files:
            name, state = file.relative_to(pool).as_posix(), file.stat()
            missing = store.missing(name, state.st_size, state.st_mtime_ns, networks)
            ahead.append(
                threads.submit(_read, file, name, state.st_size, state.st_mtime_ns, frozenset(missing))
                if missing
                else None
            )
            if len(ahead) > AHEAD:
                first = ahead.popleft()
                yield None if first is None else first.result()
        while ahead:
            first = ahead.popleft()
            yield None if first is None else first.result()


def _read(file: Path, name: str, size: int, modified: int, networks: frozenset[str]) -> _Read:
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    try:
        picture = picture_of(data)
        return _Read(name, size, modified, digest, networks, picture, pixels_of(picture))
    except (BadPicture, OSError) as error:
        return _Read(name, size, modified, digest, networks, None, None, " ".join(str(error).split()))


def _score(images: list[_Read], store: ScoreStore, networks: Mapping[str, Network]) -> int:
    facts, found = [], []
    for image in images:
        assert image.picture is not None
        bits = perceptual_hash(image.picture.data)
        look = 0 if bits is None else int.from_bytes(np.packbits(bits).tobytes(), "big")
        width, height = image.picture.width, image.picture.height
        facts.append((image.name, image.size, image.modified, image.sha256, look, width, height, None))
    for name, network in networks.items():
        wanted = [image for image in images if name in image.networks]
        if not wanted:
            continue
        mirrored = name.endswith(f":{MIRRORED}")
        squares = [network.square(_shown(image, mirrored)) for image in wanted]
        sizes = [image.pixels.shape[:2] for image in wanted if image.pixels is not None]
        for image, (each, embedding) in zip(wanted, network.run(np.stack(squares), sizes), strict=True):
            found.append((image.name, name, _mirrored(each) if mirrored else each, embedding))
    store.add(facts, found)
    return len(images)


def _shown(image: _Read, mirrored: bool) -> np.ndarray:
    assert image.pixels is not None
    return np.ascontiguousarray(image.pixels[:, ::-1]) if mirrored else image.pixels


def _mirrored(found: Found) -> Found:
    """Detections in the mirrored image, in the coordinates of the image."""
    ymin, xmin, ymax, xmax = found.boxes.T
    return Found(np.stack([ymin, 1 - xmax, ymax, 1 - xmin], axis=1), found.probabilities)
