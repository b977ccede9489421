"""Runs a search on Ray Tune, on a local Ray that it starts, or on a cluster."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from trainers.datasets.dataset import Dataset
from trainers.errors import UserError
from trainers.hardware import machine
from tuning.execution import cluster, ray_processes
from tuning.execution.machines.at_once import AtOnce
from tuning.execution.machines.lost_workers import counted_as_deaths, given_time
from tuning.execution.machines.software import software
from tuning.execution.python_path import python_path
from tuning.execution.saving import SAVE_SECONDS
from tuning.execution.trial_source import TrialSource
from tuning.execution.worker import KEEP_SECONDS

# Ray Tune writes no result logs, snapshots or working folders, and prints nothing: the study keeps the state, and the
# search's callbacks print.
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
# after a request to stop: the time for workers to finish their chunk before Ray ends them
GRACE_SECONDS = 5.0
# that Ray waits for workers at the end, whose keep() waits for uploads; without a store, as long as it does by itself
UPLOAD_SECONDS, ENDING_SECONDS = KEEP_SECONDS + 10, 10.0
MOST_PENDING = 1000  # trials that wait for a place in Ray, where only the searcher limits their number


@dataclass(frozen=True)
class Resources:
    """Workers and their hardware.

    workers: number of processes, each training one trial. cpus, gpus: of each worker; a fraction shares a GPU.
    address: of a running Ray cluster; None starts a Ray on this machine for the search.
    follow: as many workers as the cluster has room for at any time, instead of a number.
    """

    workers: int = 1
    cpus: float = 1
    gpus: float = 0.0
    address: str | None = None
    follow: bool = False

    def at_once(self) -> Callable[[], int]:
        """Returns the number of workers that may run now."""
        return cluster.Room(self.cpus, self.gpus) if self.follow else lambda: self.workers


@dataclass(frozen=True)
class Job:
    """What all trials share.

    task: the name of the models' task. dataset, options: arguments of the trainers' factories.
    factories: the trainer's factory, "module:callable", by model; None for the models' own.
    modules: to import in each worker, since they register the user's models.
    chunk_seconds: seconds between a worker's messages.
    early_images: number of validation images at the rungs before the last; None for all.
    save_seconds: between a trial's checkpoints; there is one at each rung too.
    store: (URI of the studies' store, name and id of the study), where each machine has its own disk; None for a
        shared one.
    weights: SHA-256 of the published weights that the store has, by model; see tuning.stores.weights.
    folds: the splits of the images that the best trials are trained on again.
    software: of the driver, which that of each machine of a cluster must equal; {} on one machine.
    """

    task: str
    dataset: Dataset
    options: Mapping[str, Any] = field(default_factory=dict)
    factories: Mapping[str, str] | None = None
    modules: tuple[str, ...] = ()
    chunk_seconds: float = 3.0
    early_images: int | None = None
    save_seconds: float = SAVE_SECONDS
    store: tuple[str, str, str] | None = None
    weights: Mapping[str, str | None] = field(default_factory=dict)
    folds: tuple[Dataset, ...] = ()
    software: Mapping[str, str] = field(default_factory=dict)


def run(search: TrialSource, job: Job, resources: Resources) -> None:
    """Run `search` until it is exhausted or stopped; trials that are unfinished then are interrupted.

    The first SIGINT or SIGTERM stops it gracefully, a second SIGINT at once.
    Raises UserError when Ray cannot be started or reached, or a worker reports an error that the user must fix.
    """
    ending = given_time(ENDING_SECONDS if job.store is None else UPLOAD_SECONDS)
    try:
        with started_ray(resources, job.modules), stopped_by_signals(search), counted_as_deaths(), ending:
            _tune(search, job, resources)
    except Exception:
        # nothing to clean up: opening the study again interrupts the trials that are still running
        if search.driver_error is not None:
            raise search.driver_error from None
        raise
    search.interrupt()
    if search.fatal_result is not None:
        raise UserError(search.fatal_result.reason)


def _tune(search: TrialSource, job: Job, resources: Resources) -> None:
    from ray import tune

    from tuning.execution.ray_scheduler import StudyScheduler
    from tuning.execution.ray_searcher import StudySearcher
    from tuning.execution.trainable import TrialWorker

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # it logs failed trials as errors
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(MOST_PENDING if resources.follow else resources.workers)
    if resources.address:
        factories = {factory.partition(":")[0] for factory in (job.factories or {}).values()}
        job = replace(job, software=software(sorted({*job.modules, *factories})))
    trainable = tune.with_parameters(TrialWorker, job=vars(job))
    at_once = AtOnce(resources.at_once())
    wanted = {"cpu": resources.cpus} | ({"gpu": resources.gpus} if resources.gpus else {})
    with tempfile.TemporaryDirectory(prefix="tuning-") as scratch:
        # tune.run and not tune.Tuner, which pickles the searcher; a study needs no pickle to resume
        tune.run(
            trainable,
            name="search",
            storage_path=scratch,
            resources_per_trial=wanted,
            search_alg=StudySearcher(search, at_once),
            scheduler=StudyScheduler(search, at_once, resources.cpus, resources.gpus),
            num_samples=-1,
            reuse_actors=True,
            stop=_stopper(search),
            max_failures=-1,  # the scheduler gives trials up
            raise_on_failed_trial=False,
            verbose=0,
        )


def _stopper(search: TrialSource) -> Any:
    from ray.tune import Stopper
    from ray.tune.stopper import NoopStopper

    class StopRequested(Stopper):
        """Ends Ray's loop GRACE_SECONDS after the search is over, so that workers can finish their chunk."""

        def __init__(self) -> None:
            self._since: float | None = None

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def __reduce__(self) -> Any:
            return NoopStopper, ()  # for Ray's snapshot, which nothing reads

        def stop_all(self) -> bool:
            if not search.over:
                return False
            self._since = self._since or time.monotonic()
            return time.monotonic() - self._since > GRACE_SECONDS

    return StopRequested()


@contextlib.contextmanager
def stopped_by_signals(search: TrialSource) -> Iterator[None]:
    """Within the block SIGINT and SIGTERM stop `search` gracefully; a second SIGINT raises KeyboardInterrupt.

    Without effect outside the main thread, since only that one receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if search.stop_reason is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        search.stop("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def started_ray(resources: Resources, modules: tuple[str, ...]) -> Iterator[None]:
    """Within the block Ray runs, on this machine or at the address, and its workers can import `modules`.

    Raises UserError when it cannot be started or reached, or has no room for the workers.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    import ray

    if ray.is_initialized():  # by the caller, as in the tests
        yield
        return
    try:
        if resources.address:
            cluster.connect(resources.address)
        else:
            # Ray's processes import this code, whatever the current folder is
            os.environ["PYTHONPATH"] = python_path(modules)
            gpus = machine.gpu_ids()
            if any(name.startswith("MIG-") for name in gpus):  # Ray would give out the undivided GPUs
                os.environ[machine.VISIBLE] = ",".join(gpus)
            ray_processes.start(
                num_cpus=math.ceil(resources.workers * resources.cpus),
                num_gpus=len(gpus),
                include_dashboard=False,
                object_store_memory=100 * 2**20,
                **cluster.QUIET,
            )
    except UserError:
        raise
    except Exception as error:  # Ray raises a bare Exception when one of its processes starts too slowly
        line = " ".join(str(error).split())[:200]
        raise UserError(f"Ray cannot be reached on this machine: {line}") from error
    try:
        _check_fits(resources, ray.cluster_resources())
        with contextlib.nullcontext() if resources.address else ray_processes.watched():
            yield
    finally:
        ray_processes.stop()


def _check_fits(resources: Resources, there: Mapping[str, float]) -> None:
    for flag, wanted, kind in (
        ("--gpus-per-trial", resources.gpus, "GPU"),
        ("--cpus-per-trial", resources.cpus, "CPU"),
    ):
        if wanted > there.get(kind, 0):
            raise UserError(
                f"{flag} {wanted:g}: Ray has only {there.get(kind, 0):g} {kind}s; give a smaller {flag}"
            )
    gpus = int(there.get("GPU", 0))
    most = machine.fit_on(gpus, resources.gpus) if resources.gpus else resources.workers
    if resources.workers > most:
        raise UserError(
            f"--workers {resources.workers}: only {most} fit on {gpus} GPUs with --gpus-per-trial {resources.gpus:g}; "
            "give fewer workers or a smaller share"
        )
