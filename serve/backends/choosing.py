"""Chooses the backend for an export on this machine: the fastest among those that find what the trained model found."""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from serve import backends
from serve.backends import cache
from serve.backends.backend import Backend
from serve.backends.measuring import Measured, measure, parity
from trainers.detection import export as exports
from trainers.detection import samples
from trainers.detection.export import SAMPLES, Export
from trainers.detection.samples import Difference
from trainers.errors import UserError
from trainers.files import write_text
from tuning.execution.environment import hardware


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


def choose(export: Export, threads: int | None = None, names: Sequence[str] = ()) -> tuple[Choice, Backend]:
    """Measure the backends called `names` (all, unless given) in this process; the fastest that may serve, loaded.

    Raises UserError when none may.
    """
    threads = _threads(threads)
    measured, allowed = measure(export, threads, names or list(backends.REGISTERED))
    rows = [
        (row.seconds, row.backend) for row in measured if row.backend in allowed and row.seconds is not None
    ]
    if not rows:
        reasons = "; ".join(f"{row.backend}: {row.problem}" for row in measured)
        raise UserError(f"{export.directory}: no backend can serve it here ({reasons})")
    name = min(rows)[1]
    return Choice(export.export_id, threads, name, measured), allowed[name]


def chosen(export: Export, threads: int | None = None) -> tuple[Choice, Backend]:
    """This machine's choice for the export, and its backend, loaded and checked.

    Measured once, and kept; see `choice_for`. Raises UserError as `choose`.
    """
    choice = choice_for(export, threads)
    backend = backends.load(choice.backend, export, choice.threads)
    if parity(backend, export, samples.load(export.directory / SAMPLES))[2] is None:
        return choice, backend
    shutil.rmtree(cache.folder(export))  # what is kept of it is not what it was
    choice = choice_for(export, threads)
    return choice, backends.load(choice.backend, export, choice.threads)


def choice_for(export: Export, threads: int | None = None) -> Choice:
    """The choice that this machine keeps; measured first where there is none, or a runtime's version is another.

    In a process of its own: the runtimes that lose take hundreds of megabytes.
    """
    threads = _threads(threads)
    with FileLock(cache.folder(export) / "choosing.lock"):  # replicas that measure at once disturb each other
        kept = _kept(export, threads)
        if kept is not None:
            return kept
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            choice = pool.submit(_choose, export.directory, threads).result()
        keep(export, choice)
    return choice


def keep(export: Export, choice: Choice) -> None:
    """Let it be this machine's."""
    write_text(_path(export, choice.threads), json.dumps(asdict(choice), indent=2) + "\n")


def _choose(directory: Path, threads: int) -> Choice:
    return choose(exports.read(directory), threads)[0]


def _threads(threads: int | None) -> int:
    return threads or os.cpu_count() or 1


def _path(export: Export, threads: int) -> Path:
    """Its name tells the machine and the runtimes apart: a home folder may be shared by several machines."""
    versions = [f"{name} {_version(name)}" for name in ("tensorflow", "tensorflow-cpu", "openvino")]
    here = sha256(json.dumps([hardware(), versions]).encode()).hexdigest()[:8]
    return cache.folder(export) / f"backend-{threads}-threads-{here}.json"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _kept(export: Export, threads: int) -> Choice | None:
    try:
        kept = json.loads(_path(export, threads).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    rows = [
        Measured(**(row | {"difference": row["difference"] and Difference(**row["difference"])}))
        for row in kept["measured"]
    ]
    return Choice(export.export_id, threads, kept["backend"], tuple(rows))
