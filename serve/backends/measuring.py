"""Measures backends: whether their results match the trained model's, how fast they are, and in which batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from serve import backends, tasks
from serve.backends.backend import Backend
from serve.jobs.options import Options
from serve.tasks.task import Parity, ServedExport
from trainers.errors import UserError
from trainers.hardware.machine import gpu_ids

BATCH = 4  # in which backends are compared; then the best size for each is looked for
BATCHES = (1, 2, 4, 8, 16, 32)
GAIN = 0.97  # a larger batch is used when an image takes at most this share of the time
BATCH_ROUNDS = 3
SAME = (
    0.001  # largest difference of a figure between two measurements of an approximate backend on one machine
)
ROUNDS = 8
# stop early when every other backend is this many times slower after so many rounds: more would not change the order
CLEAR_RATIO, CLEAR_ROUNDS = 1.3, 3


@dataclass(frozen=True)
class Measured:
    """Measurements of one backend on this machine.

    problem: why it cannot be used, or None. figures: of its results on the export's samples (serve.tasks.task.Parity).
    seconds: of `busy_clock` per image, with batches of BATCH in all streams. seconds_single: by the wall clock, one
    image at a time. Both of the best round, because other load on the machine only ever adds time. batch: its best size.
    lost: of an approximate backend, how much worse its metric is than in float32, on `judged` labelled images.
    """

    backend: str
    problem: str | None
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    seconds_single: float | None = None
    batch: int = BATCH
    lost: float | None = None
    judged: int = 0

    def rejected(self, max_drop: float) -> str | None:
        """Why it may not be used, or None. max_drop: of the metric for an approximate backend; 0 excludes them all."""
        if self.problem is not None or self.lost is None:
            return self.problem
        if max_drop > 0 and self.lost <= max_drop:
            return None
        metric = next(iter(self.figures), "metric")
        return f"{metric} {self.lost:.4f} lower on {self.judged} images (--max-map-drop {max_drop:g})"


def parity(
    backend: Backend, export: ServedExport, squares: np.ndarray, before: Measured | None = None
) -> Parity:
    """How the backend's results on the export's samples, `squares`, compare with the trained model's.

    before: an earlier measurement on this machine. An approximate backend need not match the trained model, but that.
    """
    found = tasks.of(export).parity(export, _results(backend, squares))
    if not backend.approximate:
        return found
    name, value = next(iter(found.figures.items()))
    expected = value if before is None else before.figures.get(name, value)
    changed = not abs(value - expected) <= SAME
    return Parity(found.figures, f"{name} {value:.4f}, but it was {expected:.4f}" if changed else None)


def measure(
    export: ServedExport, threads: int, names: Sequence[str]
) -> tuple[Sequence[Measured], Mapping[str, Backend]]:
    """Load, check and time the backends called `names`: a row for each, and the valid ones, loaded, by name."""
    squares = tasks.of(export).sample_squares(export)
    rows: dict[str, Measured] = {}
    loaded: dict[str, Backend] = {}
    for name in names:
        try:
            backend = backends.load(name, export, threads)
            found = parity(backend, export, squares)
            lost, judged = None, 0
            if backend.approximate:
                lost, judged = loss(backend, export, _exact(loaded, rows, export, threads, squares))
        except Exception as error:  # noqa: BLE001 - runtimes raise anything; the table shows it
            text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            rows[name] = Measured(name, " ".join(text.split())[:200])
            continue
        rows[name], loaded[name] = (
            Measured(name, found.problem, found.figures, lost=lost, judged=judged),
            backend,
        )
    least = tasks.of(export).least_score(export, Options())
    for name, (seconds, single) in time_backends(loaded, squares, least).items():
        rows[name] = replace(rows[name], seconds=seconds, seconds_single=single)
        if rows[name].problem is None:
            rows[name] = replace(rows[name], batch=best_batch(loaded[name], squares, least))
    allowed = {name: backend for name, backend in loaded.items() if rows[name].problem is None}
    return tuple(rows.values()), allowed


def loss(backend: Backend, export: ServedExport, exact: Backend) -> tuple[float, int]:
    """The task's metric of `exact` minus that of `backend` on labelled images of the export; and how many these are."""
    squares, metric = tasks.of(export).judged(export)
    return metric(_results(exact, squares)) - metric(_results(backend, squares)), len(squares)


def _exact(
    loaded: Mapping[str, Backend], rows: Mapping[str, Measured], export: ServedExport, threads: int, squares: np.ndarray
) -> Backend:  # fmt: skip
    """A backend with the export's own results: a loaded one, or OpenVINO. Raises UserError if there is none."""
    for name, backend in loaded.items():
        if not backend.approximate and rows[name].problem is None:
            return backend
    if "openvino" in rows:
        raise UserError("there is no float32 backend to judge it by")
    backend = backends.load("openvino", export, threads)
    if problem := parity(backend, export, squares).problem:
        raise UserError(f"in float32, {problem}")
    return backend


def _results(backend: Backend, squares: np.ndarray) -> list[Any]:
    return [each for i in range(0, len(squares), BATCH) for each in backend.run(squares[i : i + BATCH])]


def busy_clock() -> Callable[[], float]:
    """A clock by which backends are compared: the CPU time of this process, whatever else the machine does meanwhile.

    By the wall clock, what else runs decides, and long batches meet more of it than short ones. The wall clock where
    there is a GPU, whose work takes no CPU time.
    """
    return time.perf_counter if gpu_ids() else time.process_time


def best_batch(backend: Backend, images: np.ndarray, least: float = 0.0) -> int:
    """The smallest of BATCHES than which twice its size is not clearly faster.

    images: (N, S, S, 3) uint8. least: see Backend.run.
    """
    best, fastest, clock = BATCHES[0], np.inf, busy_clock()
    for size in BATCHES:
        batch = np.resize(images, (size, *images.shape[1:]))
        seconds = []
        for _ in range(BATCH_ROUNDS + 1):  # the first one warms up
            began = clock()
            in_all_streams(backend, [batch] * backend.streams, least)
            seconds.append((clock() - began) / size)
        if min(seconds[1:]) > GAIN * fastest:
            break
        best, fastest = size, min(seconds[1:])
    return best


def time_backends(
    loaded: Mapping[str, Backend], images: np.ndarray, least: float = 0.0
) -> dict[str, tuple[float, float]]:
    """By name: seconds of `busy_clock` per image in a batch, and of the wall clock for a single image; the best round.

    All backends take turns in each round, so that other load on the machine hits all of them. images: (N, S, S, 3)
    uint8. least: see Backend.run.
    """
    batch = np.resize(images, (BATCH, *images.shape[1:]))
    best, clock = dict.fromkeys(loaded, (np.inf, np.inf)), busy_clock()
    for backend in loaded.values():  # warm up
        in_all_streams(backend, [batch] * backend.streams, least)
        backend.run(batch[:1], least)
    for round_ in range(ROUNDS):
        for name, backend in loaded.items():
            began = clock()
            in_all_streams(backend, [batch] * backend.streams, least)
            busy = clock() - began
            began = time.perf_counter()
            backend.run(batch[:1], least)
            taken = busy / BATCH / backend.streams, time.perf_counter() - began
            best[name] = min(best[name][0], taken[0]), min(best[name][1], taken[1])
        taken_in_batches = sorted(seconds for seconds, _ in best.values())
        if round_ + 1 >= CLEAR_ROUNDS and all(
            seconds > CLEAR_RATIO * taken_in_batches[0] for seconds in taken_in_batches[1:]
        ):
            break
    return best


def in_all_streams(backend: Backend, batches: Iterable[np.ndarray], least: float = 0.0) -> None:
    """Run the batches, one per stream at a time. least: see Backend.run."""
    with ThreadPoolExecutor(backend.streams) as pool:
        for _ in pool.map(partial(backend.run, least=least), batches):
            pass
