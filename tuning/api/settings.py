"""Settings: the user's settings of a search: checks them and derives scheduler, budget, conditions and manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import search_spaces
from search_spaces.conditions import Conditions, Preset
from search_spaces.parts.restriction import parse
from trainers import task as tasks
from trainers.datasets import arguments
from trainers.datasets.dataset import Dataset
from trainers.datasets.formats.format import Reading
from trainers.errors import UserError
from trainers.hardware.machine import cpus_here, fit_on, gpus_here, memory_here
from trainers.model import check_gpus
from trainers.recipe import InitialWeights, Precision
from tuning.api.forecast.memory import memory_of_worker
from tuning.execution.saving import SAVE_SECONDS
from tuning.search import sampler, scheduler
from tuning.search.constraints import limit as limits
from tuning.search.limits import ending
from tuning.search.limits.budget import Budget
from tuning.search.limits.prices import read as read_prices
from tuning.search.population.requirements import check_population
from tuning.search.scheduler import Scheduler
from tuning.study.manifest import EARLY_IMAGES
from tuning.study.spent import Price
from tuning.tracking.store import check_uri

if TYPE_CHECKING:
    from search_spaces.space import Space
    from tuning.study.manifest import Manifest

MOST_AT_ONCE = 4  # on CPUs; with more at once, each proposal would know too few results
MAX = "max"  # of --workers: as many as the cluster has room for, at any time
RESERVED = ("data", "mlruns")  # folders in the studies folder that are no studies


@dataclass(frozen=True)
class Settings:
    """The flags of `python -m tuning.run`; None where the preset or the machine decides.

    subset: fraction of the training images. time, save_every: seconds. gpus_per_trial, cpus_per_trial: also fractions.
    follow: --workers max: more train when machines join. priced: --prices on these machines. Both are set by the plan.
    Raises UserError when a value is out of range, or a name is unknown.
    """

    space: str
    data: str | None = None
    format: str | None = None
    group_by: str | None = None
    subset: float = 1.0
    trials: int | None = None
    study: str | None = None
    studies_dir: Path = Path("studies")
    preset: Preset = "laptop"
    max_steps: int | None = None
    image_size: int | None = None
    batch_size: int | None = None
    weights: str = "auto"
    precision: Precision = "float32"
    only: tuple[str, ...] = ()
    limit: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    xla: bool = False
    workers: int | Literal["max"] | None = None
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    seed: int = 0
    reduction_factor: int = 3
    sampler: str = "tpe"
    scheduler: str = "promote"
    objective: str | None = None
    brackets: int = 1
    early_images: int = EARLY_IMAGES
    tracking_uri: str | None = None
    address: str | None = None
    autoscale: bool = False
    follow: bool = False
    storage: str = ""
    accept_space_change: bool = False
    keep_checkpoints: int = 10
    save_every: float = SAVE_SECONDS
    warm_start: str | None = None
    recipe: Path | None = None
    time: float | None = None
    gpu_hours: float | None = None
    cost: float | None = None
    price_per_gpu_hour: float | None = None
    prices: Path | None = None
    priced: Price | None = None
    like: float | None = None
    confirm: int = 0
    folds: int = 0
    until_converged: float | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("trials", 1), ("max_steps", 1), ("image_size", 1), ("batch_size", 1), ("workers", 1), ("seed", 0),
            ("gpus_per_trial", 0), ("reduction_factor", 2), ("keep_checkpoints", 1), ("early_images", 1),
            ("confirm", 0), ("folds", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            if value not in (None, MAX) and value < least:
                raise UserError(f"--{name.replace('_', '-')} must be at least {least}, not {value}")
        for name in ("cpus_per_trial", "save_every"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise UserError(f"--{name.replace('_', '-')} must be above 0, not {value:g}")
        if (gpus := self.gpus_per_trial or 0) > 1:
            check_gpus(search_spaces.get(self.space).models, gpus, "--gpus-per-trial", self.xla)
        if self.workers == MAX and (self.address is None or self.autoscale):
            said = "--workers max follows the machines of --address, without --autoscale; give a number"
            raise UserError(said)
        if self.autoscale and self.address is None:
            raise UserError("--autoscale needs --address: it is for a cluster that starts machines")
        if self.storage:
            from tuning.study.storage.postgresql import check_url  # imports SQLAlchemy

            check_url(self.storage)
        check_uri(self.tracking_uri or "")
        if self.prices is not None and self.price_per_gpu_hour is not None:
            raise UserError("--prices and --price-per-gpu-hour: give one of them")
        self.price  # noqa: B018 - raises
        if self.seed >= 2**31:
            raise UserError(f"--seed must be below 2147483648, not {self.seed}")
        for flag, chosen, known in (
            ("sampler", self.sampler, sampler.names()),
            ("scheduler", self.scheduler, scheduler.names()),
        ):
            if chosen not in known:
                raise UserError(f"--{flag}: unknown {flag} '{chosen}'; known are {', '.join(known)}")
        self.reading  # noqa: B018 - raises
        parse(self.only)
        self.limits  # noqa: B018 - raises
        limits.check_further_objectives(self.also)
        ending.check_repeats(self.confirm, self.folds, self.budget)
        ending.check_worth(self.until_converged, self.also)
        check_population(self.scheduler, self.budget.trials, vars(self))
        name = self.study or ""
        if name in (*RESERVED, ".", "..") or "/" in name or name != name.strip():
            raise UserError(
                f"--study '{name}' is not a valid name; give a plain name other than data and mlruns"
            )

    @property
    def trainings_again(self) -> int:
        """How many trainings of the best trials the search ends with."""
        return ending.trainings_again(self.confirm, self.folds)

    @property
    def budget(self) -> Budget:
        """The budget of the study; without any limit, the preset's number of trials."""
        limited = any(limit is not None for limit in (self.time, self.gpu_hours, self.cost, self.like))
        return Budget(
            trials=self.trials
            or (None if limited else search_spaces.get(self.space).default_trials(self.preset)),
            seconds=self.time,
            gpu_hours=self.gpu_hours,
            cost=self.cost,
            price=self.price if self.cost is not None or self.prices is None else None,
            trainings=self.like,
        )

    @property
    def price(self) -> Price | None:
        """--price-per-gpu-hour, or that of --prices: until it is planned, on its dearest GPUs. None without both."""
        if self.prices is not None:
            return self.priced or read_prices(self.prices).of([""])
        return None if self.price_per_gpu_hour is None else Price(self.price_per_gpu_hour)

    @property
    def limits(self) -> tuple[limits.Limit, ...]:
        """What the networks may cost when they are served."""
        return limits.parse(self.limit)

    @property
    def reading(self) -> Reading:
        """How the data are to be read."""
        return arguments.reading(self.format, self.group_by)

    @property
    def steps(self) -> int:
        """Gradient steps of a full trial."""
        return self.max_steps or search_spaces.get(self.space).default_steps(self.preset)

    @property
    def at_once(self) -> int:
        """Number of workers: --workers, or one per GPU of this machine; without GPUs as CPUs and memory allow."""
        if isinstance(self.workers, int):
            return self.workers
        if self.address is not None:  # a cluster, whose size is unknown here
            return 1
        trials = self.budget.trials or MOST_AT_ONCE
        gpus = gpus_here()
        if gpus and self.gpus_per_trial != 0:
            return max(1, min(trials, fit_on(gpus, self.gpus_per_trial or 1)))
        if self.preset == "zoo":  # large images, whose activations alone may fill the memory
            return 1
        cpus = int(cpus_here() / (self.cpus_per_trial or 1))
        most = max(1, min(trials, MOST_AT_ONCE, cpus, int(memory_here() / self.worker_bytes)))
        if self.cpus_per_trial is not None:
            return most
        from tuning.api.forecast.side_by_side import workers  # imports Optuna, for which --help does not wait

        space = search_spaces.get(self.space)
        return workers(space, self.conditions(None), self.new_scheduler(), self.budget.trials, cpus, most)

    @property
    def worker_bytes(self) -> float:
        """Memory of each worker, by the largest trial that it may train."""
        return memory_of_worker(search_spaces.get(self.space), self.conditions(None))

    @property
    def cpus(self) -> float:
        """CPUs of each worker: --cpus-per-trial, or an even share of this machine's."""
        return self.cpus_per_trial or max(1, cpus_here() // self.at_once)

    @property
    def gpus(self) -> float:
        """GPUs of each worker: --gpus-per-trial, or one; a fraction of one, equal on all GPUs, for more workers."""
        if self.gpus_per_trial is not None:
            return self.gpus_per_trial
        gpus = gpus_here()
        return 1 / max(1, math.ceil(self.at_once / gpus)) if gpus else 0.0

    def new_scheduler(self) -> Scheduler:
        """A new scheduler, without any trial."""
        first = search_spaces.get(self.space).first_rung
        given = self.reduction_factor, self.brackets, self.seed
        return scheduler.of_search(self.scheduler, self.steps, first, self.budget.trials, *given)

    def study_name(self, dataset: Dataset) -> str:
        """--study, or a name made from space, data and preset, so that the same command resumes its study."""
        plain = dataset.plain_name
        return self.study or f"{self.space}-{plain}" + ("" if self.preset == "laptop" else f"-{self.preset}")

    def conditions(self, weights: InitialWeights | None) -> Conditions:
        """The conditions that all trials share."""
        return Conditions(
            steps=self.steps,
            preset=self.preset,
            image_size=self.image_size,
            batch_size=self.batch_size,
            weights=weights,
            precision=self.precision,
            seed=self.seed,
            only=parse(self.only),
        )

    def manifest(
        self,
        dataset: Dataset,
        space: Space,
        conditions: Conditions,
        zoo_sha256: Mapping[str, str] = MappingProxyType({}),
    ) -> Manifest:
        """The manifest of a new study with these settings. zoo_sha256: as in Manifest."""
        from tuning.study.manifest import (  # imports Optuna, which --help should not wait for
            Manifest,
            of_data,
            versions,
        )

        weights = (
            conditions.weights.source if conditions.weights else "none" if conditions.from_scratch else "zoo"
        )
        return Manifest(
            study=self.study_name(dataset),
            space=self.space,
            space_hash=space.hash(conditions),
            space_rows=[row.to_dict() for row in space.rows(conditions)],
            data=of_data(dataset, self.data, self.subset, self.format, self.group_by),
            preset=self.preset,
            max_steps=self.steps,
            image_size=self.image_size,
            batch_size=self.batch_size,
            weights=weights,
            weights_part=conditions.weights.part if conditions.weights else "detection",
            precision=self.precision,
            only=[[name, list(choices)] for name, choices in conditions.only],
            also=" ".join(self.also),
            limit=" ".join(sorted(limit.text for limit in self.limits)),
            zoo_sha256=dict(zoo_sha256),
            task=space.task,
            objective=tasks.get(space.task).objective(self.objective, dataset.classes).name,
            reduction_factor=self.reduction_factor,
            sampler=self.sampler,
            scheduler=self.scheduler,
            brackets=self.brackets,
            early_images=self.early_images,
            seed=self.seed,
            storage=self.storage,
            versions=versions(),
        )
