"""Measures backends against one another: whether each finds what the trained model found, and how fast."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np

from serve import backends
from serve.backends.backend import Backend
from trainers.detection import samples
from trainers.detection.export import SAMPLES, Export
from trainers.detection.samples import Difference, Samples

BATCH = 4  # of the measurement, and of serving unless told otherwise
ROUNDS = 8
CLEAR = (
    1.3  # so many times slower than another after CLEAR_ROUNDS rounds: more rounds would not change the order
)
CLEAR_ROUNDS = 3
MAP_TOLERANCE = 0.001  # a backend may not lose or win more mAP on the export's samples


@dataclass(frozen=True)
class Measured:
    """One backend on this machine.

    problem: why it may not serve, or None. difference: from the trained model, on the export's samples.
    seconds: an image, with batches of BATCH in all streams; best of the rounds (others' work on the machine only ever
    adds to it). seconds_single: of an image alone.
    """

    backend: str
    problem: str | None
    mean_ap: float | None = None
    difference: Difference | None = None
    seconds: float | None = None
    seconds_single: float | None = None


def parity(backend: Backend, export: Export, shown: Samples) -> tuple[float, Difference, str | None]:
    """mAP on the samples, distance from what the export found when it was made, and what is wrong with that."""
    found = [
        each
        for i in range(0, len(shown.images), BATCH)
        for each in backend.detect(shown.images[i : i + BATCH])
    ]
    mean_ap, expected = shown.mean_ap(found, export.classes), shown.mean_ap(shown.found, export.classes)
    apart = samples.difference(found, shown.found)
    if abs(mean_ap - expected) > MAP_TOLERANCE:
        return mean_ap, apart, f"mAP {mean_ap:.4f}, the export's is {expected:.4f}"
    if not apart.within():
        return mean_ap, apart, f"detections differ: {asdict(apart)}"
    return mean_ap, apart, None


def measure(
    export: Export, threads: int, names: Sequence[str]
) -> tuple[Sequence[Measured], Mapping[str, Backend]]:
    """Load, check and race the backends called `names`: a row for each, and those that may serve, by name."""
    shown = samples.load(export.directory / SAMPLES)
    rows, loaded = {}, {}
    for name in names:
        try:
            backend = backends.load(name, export, threads)
            mean_ap, apart, problem = parity(backend, export, shown)
        except Exception as error:  # noqa: BLE001 - any runtime's own; it is shown in the table
            line = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            rows[name] = Measured(name, line)
            continue
        rows[name], loaded[name] = Measured(name, problem, mean_ap, apart), backend
    for name, (seconds, single) in race(loaded, shown.images).items():
        rows[name] = replace(rows[name], seconds=seconds, seconds_single=single)
    allowed = {name: backend for name, backend in loaded.items() if rows[name].problem is None}
    return tuple(rows.values()), allowed


def race(loaded: Mapping[str, Backend], images: np.ndarray) -> dict[str, tuple[float, float]]:
    """By name: seconds of an image in a batch, and of one alone; the best of rounds in which all take their turn.

    A moment at which something else works on the machine thus meets all of them, and decides nothing. images:
    (N, S, S, 3) uint8.
    """
    batch = np.resize(images, (BATCH, *images.shape[1:]))
    best = dict.fromkeys(loaded, (np.inf, np.inf))
    for backend in loaded.values():  # the first calls build what later ones use
        in_all_streams(backend, [batch] * backend.streams)
        backend.detect(batch[:1])
    for round_ in range(ROUNDS):
        for name, backend in loaded.items():
            began = time.perf_counter()
            in_all_streams(backend, [batch] * backend.streams)
            middle = time.perf_counter()
            backend.detect(batch[:1])
            taken = (middle - began) / BATCH / backend.streams, time.perf_counter() - middle
            best[name] = min(best[name][0], taken[0]), min(best[name][1], taken[1])
        taken_in_batches = sorted(seconds for seconds, _ in best.values())
        if round_ + 1 >= CLEAR_ROUNDS and all(
            seconds > CLEAR * taken_in_batches[0] for seconds in taken_in_batches[1:]
        ):
            break
    return best


def in_all_streams(backend: Backend, batches: Iterable[np.ndarray]) -> None:
    """Run the batches, as many at once as the backend takes."""
    with ThreadPoolExecutor(backend.streams) as pool:
        for _ in pool.map(backend.detect, batches):
            pass
