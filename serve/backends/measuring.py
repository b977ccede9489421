"""Measures backends: whether their results match the trained model's, and how fast they are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from serve import backends, tasks
from serve.backends.backend import Backend
from serve.tasks.task import Parity, ServedExport

BATCH = 4  # batch size of the measurement; also the default for serving
ROUNDS = 8
# stop early when every other backend is this many times slower after so many rounds: more would not change the order
CLEAR_RATIO, CLEAR_ROUNDS = 1.3, 3


@dataclass(frozen=True)
class Measured:
    """Measurements of one backend on this machine.

    problem: why it may not be used, or None. figures: of its results on the export's samples (serve.tasks.task.Parity).
    seconds: per image, with batches of BATCH in all streams; the best round, because other load on the machine only ever
    adds time. seconds_single: per image, one at a time.
    """

    backend: str
    problem: str | None
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    seconds_single: float | None = None


def parity(backend: Backend, export: ServedExport, squares: np.ndarray) -> Parity:
    """How the backend's results on the export's samples, `squares`, compare with the trained model's."""
    found = [each for i in range(0, len(squares), BATCH) for each in backend.run(squares[i : i + BATCH])]
    return tasks.of(export).parity(export, found)


def measure(
    export: ServedExport, threads: int, names: Sequence[str]
) -> tuple[Sequence[Measured], Mapping[str, Backend]]:
    """Load, check and time the backends called `names`: a row for each, and the valid ones, loaded, by name."""
    squares = tasks.of(export).sample_squares(export)
    rows, loaded = {}, {}
    for name in names:
        try:
            backend = backends.load(name, export, threads)
            found = parity(backend, export, squares)
        except Exception as error:  # noqa: BLE001 - runtimes raise anything; the table shows it
            line = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            rows[name] = Measured(name, line)
            continue
        rows[name], loaded[name] = Measured(name, found.problem, found.figures), backend
    for name, (seconds, single) in time_backends(loaded, squares).items():
        rows[name] = replace(rows[name], seconds=seconds, seconds_single=single)
    allowed = {name: backend for name, backend in loaded.items() if rows[name].problem is None}
    return tuple(rows.values()), allowed


def time_backends(loaded: Mapping[str, Backend], images: np.ndarray) -> dict[str, tuple[float, float]]:
    """By name: seconds per image in a batch, and for a single image; the best of several rounds.

    All backends take turns in each round, so that other load on the machine hits all of them. images: (N, S, S, 3)
    uint8.
    """
    batch = np.resize(images, (BATCH, *images.shape[1:]))
    best = dict.fromkeys(loaded, (np.inf, np.inf))
    for backend in loaded.values():  # warm up
        in_all_streams(backend, [batch] * backend.streams)
        backend.run(batch[:1])
    for round_ in range(ROUNDS):
        for name, backend in loaded.items():
            began = time.perf_counter()
            in_all_streams(backend, [batch] * backend.streams)
            middle = time.perf_counter()
            backend.run(batch[:1])
            taken = (middle - began) / BATCH / backend.streams, time.perf_counter() - middle
            best[name] = min(best[name][0], taken[0]), min(best[name][1], taken[1])
        taken_in_batches = sorted(seconds for seconds, _ in best.values())
        if round_ + 1 >= CLEAR_ROUNDS and all(
            seconds > CLEAR_RATIO * taken_in_batches[0] for seconds in taken_in_batches[1:]
        ):
            break
    return best


def in_all_streams(backend: Backend, batches: Iterable[np.ndarray]) -> None:
    """Run the batches, one per stream at a time."""
    with ThreadPoolExecutor(backend.streams) as pool:
        for _ in pool.map(backend.run, batches):
            pass
