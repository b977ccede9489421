"""Scores the images of a pool with a detector: in batches, in flat memory, and each image once even if killed."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from trainers.datasets.files.walking import IMAGE_SUFFIXES, walk
from trainers.datasets.pictures.picture import BadPicture, Picture, read_picture
from trainers.datasets.splits.perceptual_hash import pixel_hash
from trainers.errors import UserError
from tuning.selection.network import Network
from tuning.selection.score_store import ScoreStore
from tuning.selection.scored import Found
from tuning.selection.strategy import Strategy

BATCH = 8  # images
MIRRORED = "mirrored"
AHEAD = 2  # batches for each CPU that are begun before they are needed

# what ScoreStore.add takes: facts about images, and what networks found in them
_Batch: TypeAlias = (
    "tuple[list[tuple[str, int, int, str, int, int, int, str | None]], "
    "list[tuple[str, str, Found, np.ndarray | None]]]"
)


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
class Read:
    """An image that was read.

    name: in the store. size, modified: of its file, bytes and nanoseconds. sha256: of its file, in hexadecimal.
    networks: those that have yet to score it, by name. picture: as training reads it; None if it cannot be read.
    pixels: (H, W, 3) uint8 RGB. problem: why it cannot be read.
    """

    name: str
    size: int
    modified: int
    sha256: str
    networks: frozenset[str]
    picture: Picture | None
    pixels: np.ndarray | None
    problem: str | None = None


def networks_for(strategy: Strategy, network: Network) -> tuple[dict[str, Network], dict[str, str]]:
    """The networks that must score a pool for a strategy, by name, and their names by role, as ScoreStore takes them."""
    name = network.export.export_id
    networks, roles = {name: network}, {"found": name}
    if "mirrored" in strategy.needs:
        roles["mirrored"] = f"{name}:{MIRRORED}"
        networks[roles["mirrored"]] = network
    return networks, roles


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
    count: int = 1,
) -> PoolScored:
    """Score every image below `pool` that the store does not have, with every network, and say which can be picked.

    networks: by name; one called NAME:mirrored sees the mirrored images. labelled: SHA-256 of images, in hexadecimal,
    that have labels already; they are left out. progress: called with the images done, and all.
    count: images that will be picked. Raises UserError, before any is scored, if there are fewer, or none.
    """
    files = list(walk(pool, *IMAGE_SUFFIXES))
    if not files:
        raise UserError(f"{pool}: no images in it ({', '.join(IMAGE_SUFFIXES)})")
    if count > len(files):
        raise UserError(f"--count {count} is more than the {len(files)} images in {pool}; ask for fewer")
    outcome = PoolScored()
    for done, scored in score_images(_unscored(pool, files, store, networks), store, networks):
        outcome.scored += scored
        progress(done, len(files))
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


def score_images(
    images: Iterable[Callable[[], Read] | None], store: ScoreStore, networks: Mapping[str, Network]
) -> Iterator[tuple[int, int]]:
    """Score images in batches into the store; yields after each how many have been seen, and were scored by it.

    images: functions that read one, called in threads; None for one that needs no score. networks: as in score_pool.
    Reading, resizing and the network of a batch are one task, so that all CPUs are busy and few batches in memory.
    """
    streams = max(network.streams for network in networks.values())
    running: deque[tuple[int, Future[_Batch]]] = deque()
    waiting: list[Callable[[], Read]] = []
    seen = 0

    def kept() -> tuple[int, int]:
        """Put the first batch that was begun into the store."""
        until, batch = running.popleft()
        facts, found = batch.result()
        store.add(facts, found)
        return until, len({name for name, *_ in found})

    with ThreadPoolExecutor(streams) as threads:
        for seen, image in enumerate(images, 1):
            if image is not None:
                waiting.append(image)
            if len(waiting) == BATCH:
                running.append((seen, threads.submit(_score, waiting, networks)))
                waiting = []
            if len(running) > AHEAD * streams:
                yield kept()
        if waiting:
            running.append((seen, threads.submit(_score, waiting, networks)))
        while running:
            yield kept()
    yield seen, 0


def _unscored(
    pool: Path, files: list[Path], store: ScoreStore, networks: Mapping[str, Network]
) -> Iterator[Callable[[], Read] | None]:
    """How to read every image that has to be scored; None for one that the store has."""
    for file in files:
        name, state = file.relative_to(pool).as_posix(), file.stat()
        missing = frozenset(store.missing(name, state.st_size, state.st_mtime_ns, networks))
        yield partial(_read, file, name, state.st_size, state.st_mtime_ns, missing) if missing else None


def _read(file: Path, name: str, size: int, modified: int, networks: frozenset[str]) -> Read:
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    try:
        picture = picture_of(data)
        return Read(name, size, modified, digest, networks, picture, pixels_of(picture))
    except (BadPicture, OSError) as error:
        return Read(name, size, modified, digest, networks, None, None, " ".join(str(error).split()))


def _score(images: list[Callable[[], Read]], networks: Mapping[str, Network]) -> _Batch:
    """The rows of ScoreStore.add for a batch."""
    facts, found = [], []
    read = [image() for image in images]
    for image in read:
        look, width, height = 0, 0, 0
        if image.picture is not None and image.pixels is not None:
            look, width, height = pixel_hash(image.pixels), image.picture.width, image.picture.height
        facts.append(
            (image.name, image.size, image.modified, image.sha256, look, width, height, image.problem)
        )
    for name, network in networks.items():
        wanted = [image for image in read if image.pixels is not None and name in image.networks]
        if not wanted:
            continue
        mirrored = name.endswith(f":{MIRRORED}")
        squares = [network.square(_shown(image, mirrored)) for image in wanted]
        sizes = [image.pixels.shape[:2] for image in wanted if image.pixels is not None]
        for image, (each, embedding) in zip(wanted, network.run(np.stack(squares), sizes), strict=True):
            found.append((image.name, name, _mirrored(each) if mirrored else each, embedding))
    return facts, found


def _shown(image: Read, mirrored: bool) -> np.ndarray:
    assert image.pixels is not None
    return np.ascontiguousarray(image.pixels[:, ::-1]) if mirrored else image.pixels


def _mirrored(found: Found) -> Found:
    """Detections in the mirrored image, in the coordinates of the image."""
    ymin, xmin, ymax, xmax = found.boxes.T
    return Found(np.stack([ymin, 1 - xmax, ymax, 1 - xmin], axis=1), found.probabilities)
