"""Chooses the backend for an export on this machine: the fastest among those that find what the trained model found."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from serve import backends
from serve.backends.backend import Backend
from trainers import export as exports
from trainers import samples
from trainers.errors import UserError
from trainers.export import SAMPLES, Export
from trainers.files import write_text
from trainers.samples import Difference, Samples

BATCH = 8  # of the measurement, and of serving unless told otherwise
ROUNDS = 5
MAP_TOLERANCE = 0.001  # a backend may not lose or win more mAP on the export's samples


@dataclass(frozen=True)
class Measured:
    """One backend on this machine.

    problem: why it may not serve, or None. difference: from the trained model, on the export's samples.
    seconds: of an image in a batch of BATCH, best of the rounds (others' work on the machine only ever adds to it);
    seconds_single: of an image alone.
    """

    backend: str
    problem: str | None
    mean_ap: float | None = None
    difference: Difference | None = None
    seconds: float | None = None
    seconds_single: float | None = None


@dataclass(frozen=True)
class Choice:
    """What was measured, and which backend won."""

    export_id: str
    threads: int
    backend: str
    measured: Sequence[Measured]

    def table(self) -> list[str]:
        """Lines for a person."""
        lines = [f"{'backend':<12}{'ms/image':>10}{'alone':>8}{'mAP':>8}{'score':>8}{'IoU':>8}"]
        for row in self.measured:
            if row.seconds is None or row.seconds_single is None or row.difference is None:
                lines.append(f"{row.backend:<12}refused: {row.problem}")
                continue
            chosen = (
                "  <- serves"
                if row.backend == self.backend
                else f"  refused: {row.problem}"
                if row.problem
                else ""
            )
            lines.append(
                f"{row.backend:<12}{1000 * row.seconds:>10.1f}{1000 * row.seconds_single:>8.1f}{row.mean_ap:>8.3f}"
                f"{row.difference.score:>8.4f}{row.difference.iou:>8.4f}{chosen}"
            )
        return lines


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


def measure(name: str, export: Export, threads: int) -> tuple[Measured, Backend | None]:
    """Load a backend, check it and time it; the backend too, where it may serve."""
    shown = samples.load(export.directory / SAMPLES)
    try:
        backend = backends.load(name, export, threads)
        mean_ap, apart, problem = parity(backend, export, shown)
    except Exception as error:  # noqa: BLE001 - any runtime's own; it is shown in the table
        line = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Measured(name, line), None
    batch = np.resize(shown.images, (BATCH, *shown.images.shape[1:]))
    seconds, single = [], []
    backend.detect(batch)
    backend.detect(batch[:1])
    for _ in range(ROUNDS):
        began = time.perf_counter()
        backend.detect(batch)
        middle = time.perf_counter()
        backend.detect(batch[:1])
        seconds.append((middle - began) / BATCH)
        single.append(time.perf_counter() - middle)
    measured = Measured(name, problem, mean_ap, apart, min(seconds), min(single))
    return measured, None if problem else backend


def choose(export: Export, threads: int | None = None, names: Sequence[str] = ()) -> tuple[Choice, Backend]:
    """Measure the backends called `names` (all, unless given) and load the fastest that may serve.

    Raises UserError when none may.
    """
    threads = threads or os.cpu_count() or 1
    measured: list[Measured] = []
    best: tuple[float, Backend, str] | None = None
    for name in names or backends.REGISTERED:
        row, backend = measure(name, export, threads)
        measured.append(row)
        if backend is not None and row.seconds is not None and (best is None or row.seconds < best[0]):
            best = (row.seconds, backend, name)
    if best is None:
        reasons = "; ".join(f"{row.backend}: {row.problem}" for row in measured)
        raise UserError(f"{export.directory}: no backend can serve it here ({reasons})")
    return Choice(export.export_id, threads, best[2], tuple(measured)), best[1]


def chosen(export: Export, folder: Path, threads: int | None = None) -> tuple[Choice, Backend]:
    """As `choose`, once a machine: the choice is kept in `folder`; later its backend alone is loaded and checked."""
    wanted = threads or os.cpu_count() or 1
    kept = _kept(export, folder, wanted)
    if kept is not None:
        shown = samples.load(export.directory / SAMPLES)
        backend = backends.load(kept.backend, export, wanted)
        if parity(backend, export, shown)[2] is None:
            return kept, backend
    choice, backend = choose(export, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(_path(export, folder), json.dumps(asdict(choice), indent=2) + "\n")
    return choice, backend


def chosen_elsewhere(export: Export, folder: Path, threads: int | None = None) -> Choice:
    """As `chosen`, in a process of its own, so that this one is not burdened with the runtimes' memory."""
    wanted = threads or os.cpu_count() or 1
    kept = _kept(export, folder, wanted)
    if kept is not None:
        return kept
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_choose, export.directory, folder, wanted).result()


def _choose(directory: Path, folder: Path, threads: int) -> Choice:
    return chosen(exports.read(directory), folder, threads)[0]


def _path(export: Export, folder: Path) -> Path:
    return folder / f"{export.export_id}.backend.json"


def _kept(export: Export, folder: Path, threads: int) -> Choice | None:
    try:
        kept = json.loads(_path(export, folder).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if kept["threads"] != threads:
        return None
    rows = [
        Measured(**(row | {"difference": row["difference"] and Difference(**row["difference"])}))
        for row in kept["measured"]
    ]
    return Choice(export.export_id, threads, kept["backend"], tuple(rows))
