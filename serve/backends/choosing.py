"""Chooses the backend of an export on this machine: the fastest whose results match the trained model's."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from serve import backends, tasks
from serve.backends import cache
from serve.backends.backend import Backend
from serve.backends.measuring import BATCH, Measured, measure, parity
from serve.deployment.settings import MAX_MAP_DROP
from serve.tasks.task import ServedExport
from trainers.errors import UserError
from trainers.files import write_text
from trainers.hardware.machine import cpus_here, gpu_ids
from tuning.execution.environment import hardware

ROOT = Path(__file__).parents[2]
RUNTIMES = ("tensorflow", "tensorflow-cpu", "openvino", "nncf", "onnxruntime", "tf2onnx")  # and converters
# names, separated by commas: only these are measured, where the task has any of them
BACKENDS = "DETECTOR_SERVING_BACKENDS"
VERSION = 5  # of what is kept of a choice; others in the cache are measured again


@dataclass(frozen=True)
class Choice:
    """The backend chosen for an export with this number of CPU threads, and the measurements.

    max_map_drop: what an approximate backend may lose; 0 excludes them all.
    """

    export_id: str
    threads: int
    backend: str
    measured: Sequence[Measured]
    max_map_drop: float = MAX_MAP_DROP

    @property
    def row(self) -> Measured | None:
        """The measurements of the backend in use, if it was measured."""
        return next((row for row in self.measured if row.backend == self.backend), None)

    @property
    def batch(self) -> int:
        """The size of batches that is best for it."""
        return self.row.batch if self.row else BATCH

    def table(self) -> list[str]:
        """The measurements as lines of text."""
        names = next((list(row.figures) for row in self.measured if row.figures), [])
        lines = [f"{'backend':<14}{'ms/image':>10}{'alone':>8}" + "".join(f"{name:>8}" for name in names)]
        for row in self.measured:
            if row.seconds is None or row.seconds_single is None:
                lines.append(f"{row.backend:<14}rejected: {row.problem}")
                continue
            note = f"  <- in use, batch {row.batch}" if row.backend == self.backend else ""
            if row.lost is not None:
                note += f"  {names[0]} {-row.lost:+.4f} on {row.judged} other images"
            if problem := row.rejected(self.max_map_drop):
                note = f"  rejected: {problem}"
            lines.append(
                f"{row.backend:<14}{1000 * row.seconds:>10.1f}{1000 * row.seconds_single:>8.1f}"
                + "".join(f"{row.figures[name]:>8.4f}" for name in names)
                + note
            )
        return lines


def choose(
    export: ServedExport,
    threads: int | None = None,
    names: Sequence[str] = (),
    max_map_drop: float = MAX_MAP_DROP,
) -> tuple[Choice, Backend]:
    """Measure the backends called `names` (default: all, or those in $BACKENDS) here; the fastest valid one, loaded.

    Raises UserError when no backend is valid.
    """
    threads = _threads(threads)
    measured, loaded = measure(export, threads, names or _measured(export))
    name = _fastest(export, measured, max_map_drop)
    return Choice(export.export_id, threads, name, measured, max_map_drop), loaded[name]


def _measured(export: ServedExport) -> Sequence[str]:
    known = list(tasks.of(export).backends)
    wanted = [name.strip() for name in os.environ.get(BACKENDS, "").split(",") if name.strip()]
    return [name for name in known if name in wanted] or known


def _fastest(export: ServedExport, measured: Sequence[Measured], max_map_drop: float) -> str:
    rows = [
        (row.seconds, row.backend)
        for row in measured
        if row.rejected(max_map_drop) is None and row.seconds is not None
    ]
    if not rows:
        reasons = "; ".join(f"{row.backend}: {row.rejected(max_map_drop)}" for row in measured)
        raise UserError(f"{export.directory}: no backend can run it on this machine ({reasons})")
    return min(rows)[1]


def load_chosen(
    export: ServedExport, threads: int | None = None, max_map_drop: float = MAX_MAP_DROP
) -> tuple[Choice, Backend]:
    """This machine's choice for the export, and that backend, loaded and checked against the export's samples.

    Measured once per export, machine and runtime version; see `choice_for`. Raises UserError as `choose` does.
    """
    choice = choice_for(export, threads, max_map_drop)
    backend = backends.load(choice.backend, export, choice.threads)
    if parity(backend, export, tasks.of(export).sample_squares(export), choice.row).problem is None:
        return choice, backend
    shutil.rmtree(cache.folder(export))  # the cached conversion is damaged: measure and convert again
    choice = choice_for(export, threads, max_map_drop)
    return choice, backends.load(choice.backend, export, choice.threads)


def choice_for(
    export: ServedExport, threads: int | None = None, max_map_drop: float = MAX_MAP_DROP
) -> Choice:
    """The cached choice; without one, or after an update of a runtime, all backends are measured first.

    The measurement runs in a process of its own, because the runtimes that are not chosen take hundreds of megabytes.
    Raises UserError as `choose` does.
    """
    threads = _threads(threads)
    with FileLock(cache.folder(export) / "choosing.lock"):  # concurrent measurements would disturb each other
        kept = kept_choice(export, threads, max_map_drop)
        if kept is not None:
            return kept
        _measure_in_subprocess(export, threads)
        kept = kept_choice(export, threads, max_map_drop)
        assert kept is not None
        return kept


def kept_choice(
    export: ServedExport, threads: int | None = None, max_map_drop: float = MAX_MAP_DROP
) -> Choice | None:
    """The cached choice; None if the backends have yet to be measured here, or with these versions of the runtimes."""
    threads = _threads(threads)
    try:
        kept = json.loads(_path(export, threads).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if kept.get("version") != VERSION:
        return None
    rows = tuple(Measured(**row) for row in kept["measured"])
    backend = _fastest(export, rows, max_map_drop) if rows else kept["backend"]
    return Choice(export.export_id, threads, backend, rows, max_map_drop)


def save_choice(export: ServedExport, choice: Choice) -> None:
    """Write the choice to this machine's cache."""
    write_text(
        _path(export, choice.threads), json.dumps({"version": VERSION, **asdict(choice)}, indent=2) + "\n"
    )


def _measure_in_subprocess(export: ServedExport, threads: int) -> None:
    # not multiprocessing, which would run the caller's script again, and fails in one without a __main__ guard
    words = [sys.executable, "-m", __name__, str(export.directory.absolute()), str(threads)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path},
        check=False,
    )  # fmt: skip
    last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
    if done.returncode == 2:
        raise UserError(last.removeprefix("error: "))
    if done.returncode:
        raise UserError(f"{export.directory}: measuring the backends failed: {last[:300]}")


def _threads(threads: int | None) -> int:
    return threads or cpus_here()


def _path(export: ServedExport, threads: int) -> Path:
    """The file name identifies machine, use of GPUs and runtime versions, because machines may share a home folder."""
    versions = [f"{name} {_version(name)}" for name in RUNTIMES]
    here = sha256(json.dumps([hardware(), bool(gpu_ids()), versions]).encode()).hexdigest()[:8]
    return cache.folder(export) / f"backend-{threads}-threads-{here}.json"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":  # what _measure_in_subprocess runs
    try:
        measured_export = tasks.read(Path(sys.argv[1]))
        save_choice(measured_export, choose(measured_export, int(sys.argv[2]))[0])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
