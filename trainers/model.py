"""Model: a model's description (name, presets, cost, trainer factory), and the registry of all models.

A new model is a module that calls `register`, and a line in MODULES (or an import by the program that uses it).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trainers.errors import UserError

if TYPE_CHECKING:
    from trainers.recipe import Recipe

# Importing one of these modules registers its models. None of them imports TensorFlow.
MODULES = ("trainers.object_detection_api.detectors", "trainers.segmentation.segmenters")


@dataclass(frozen=True)
class Cost:
    """The measured cost of training a model; estimates of a trial's duration are based on it.

    cpu_step_seconds: seconds of a gradient step over a batch of `pixels` pixels, on one CPU core of 40 GFLOP/s while
        the other core is busy too; None if not measured.
    pixels: pixels of that batch: images x height x width.
    shared_part: the parallel fraction of a step, in [0, 1], for Amdahl's law.
    parameters: number of scalars in the model's variables.
    """

    cpu_step_seconds: float | None = None
    pixels: int = 160 * 160 * 8
    shared_part: float = 0.6
    parameters: int = 0

    def speedup(self, cpus: float) -> float:
        """How many times faster a step is on `cpus` cores than on one, by Amdahl's law."""
        return 1 / (1 - self.shared_part + self.shared_part / max(1.0, cpus))

    def step_seconds(self, pixels: int, cpus: float) -> float | None:
        """Estimated seconds of a gradient step over a batch of `pixels` pixels on `cpus` cores; None if not measured."""
        if self.cpu_step_seconds is None:
            return None
        return self.cpu_step_seconds * pixels / self.pixels / self.speedup(cpus)


class PublishedWeights(Protocol):
    """The weights that a model was published with, fetched once for all studies of a machine."""

    @property
    def address(self) -> str:
        """Where they are fetched from."""

    @property
    def folder(self) -> Path:
        """Where they are on this machine, if they were fetched."""

    @property
    def sha256(self) -> str | None:
        """Of what was fetched, in hexadecimal; None if nothing was."""

    def fetch(self, progress: Callable[[int, int | None], None] | None = None) -> Path:
        """Fetch and check them if they are not here. Returns `folder`. Raises UserError if they cannot be had.

        progress: is called with the bytes so far and in all, None if unknown.
        """

    def take(self, fetch: Callable[[Path], None], sha256: str | None) -> Path:
        """Like `fetch`, but from elsewhere: `fetch` fills the empty folder that it is called with.

        sha256: of what was published, in hexadecimal; None if unknown.
        Raises UserError if it is not what was published, or not what was fetched here first.
        """

    def verify(self) -> None:
        """Read all of what was fetched. Raises UserError if it is damaged, or is not what was published."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """The description of a model.

        MODEL = register(Model(
            name="linear",
            title="Linear regression",
            task="regression",
            trainer="my_package.linear:LinearTrainer",
            recipe=LinearRecipe,  # or trainers.recipe.Recipe, if it needs no fields of its own
            presets={"laptop": {
                "image_size": 1, "batch_size": 8, "steps": 200,
                "optimizer": {"kind": "momentum"}, "schedule": {"kind": "constant", "base": 0.01},
            }},
        ))

    name: the word for it in recipes and in `--space`. title: the name under which it was published.
    task: the name of its Task.
    trainer: "module:callable" that returns its Trainer; called as `callable(dataset, cpus=int, gpu_fraction=float)`
        with a trainers.datasets.dataset.Dataset, the CPU cores of the worker, and its GPUs or its share of one (0
        without).
        Worker processes import that module first, so importing it must register the model.
    recipe: the class of its recipes: Recipe, or a subclass with the model's own fields.
    presets: Recipe fields (all that have no default, except `model`) by preset: "laptop" trains from scratch in
        minutes on a CPU; "zoo", if there is one, repeats the published training.
    min_image_size, image_size_multiple: pixels; the side of its square input must be at least the one and a multiple
        of the other.
    smallest_object: pixels of its input; an object whose sides are shorter, in the geometric mean, is not learned. 0 if
        there is no such size.
    largest_image_size: pixels; the largest that a search chooses by itself. None: the largest of the presets.
    graph_fields: Recipe fields that determine the TensorFlow graph. Recipes with equal values share a graph, so a
        worker that has built it does not build it again.
    trained_with: those of `graph_fields` that only training needs. The others determine the network that is served, and
        so how fast and how large it is.
    initial_weights: "module:callable" that resolves `--weights` for it; None if it only trains from scratch.
    published_weights: "module:callable" that returns its PublishedWeights, called with its name; None without any.
    average: "module:callable" that writes the average of several trials' checkpoints as one, called with a sequence of
        their folders and a target folder; None if its trainer's checkpoints cannot be averaged.
    after_training: Recipe fields that matter in evaluation and export, and not in training -> the values that
        `tuning.postprocess` tries, each with an evaluation.
    published_at: the source of the "zoo" preset, for the report.
    cost: what a gradient step costs, if measured.
    several_gpus: whether a training can share the images of each step among several GPUs.
    first_rung: steps before which a result predicts nothing, so that no search judges a trial earlier. 1 where a step
        is an epoch, say: then the shortest rung is a fraction of a full training, however few steps that has.
    """

    name: str
    title: str
    task: str
    trainer: str
    recipe: type[Recipe]
    presets: Mapping[str, Mapping[str, Any]]
    min_image_size: int = 1
    image_size_multiple: int = 1
    smallest_object: float = 0.0
    largest_image_size: int | None = None
    graph_fields: tuple[str, ...] = ("image_size", "batch_size")
    trained_with: tuple[str, ...] = ("batch_size",)
    initial_weights: str | None = None
    published_weights: str | None = None
    average: str | None = None
    after_training: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    published_at: str = ""
    cost: Cost = field(default_factory=Cost)
    several_gpus: bool = False
    first_rung: int = 30

    def relative_cost(self, fields: Mapping[str, Any]) -> float:
        """Cost of a gradient step of a recipe with these fields, relative to `cost`; 1 for a model of one size."""
        return 1.0

    def parameters(self, fields: Mapping[str, Any]) -> int:
        """Number of scalars in the variables of a recipe with these fields; `cost`'s for a model of one size."""
        return self.cost.parameters

    def loss_of(self, fields: Mapping[str, Any]) -> str:
        """The name of the function that is the loss of a recipe with these fields; only equal ones compare."""
        return self.name

    def check_image_size(self, size: int) -> None:
        """Raise ValueError, with the nearest valid sizes, if `size` (pixels) is not a valid side of its input."""
        multiple, smallest = self.image_size_multiple, self.min_image_size
        if size >= smallest and size % multiple == 0:
            return
        below = size // multiple * multiple
        near = [s for s in (below, below + multiple) if s >= smallest] or [
            -(-smallest // multiple) * multiple
        ]
        rule = f"at least {smallest} px" + (f" and a multiple of {multiple}" if multiple > 1 else "")
        raise ValueError(
            f"{self.name} needs an image size of {rule}, not {size}; try {' or '.join(map(str, near))}"
        )


_registered: dict[str, Model] = {}


def register(model: Model) -> Model:
    """Register `model` under its name, and return it.

    Raises UserError if another model has that name, or if its recipe class redefines a field of Recipe.
    """
    from trainers.recipe import OLD_NAMES, Recipe

    known = _registered.get(model.name)
    if known is not None and known != model:
        raise UserError(f"two models are called '{model.name}'; rename one of them")
    own = {name for kind in model.recipe.__mro__ if kind not in Recipe.__mro__ for name in _annotations(kind)}
    if clash := sorted(own & {*Recipe.model_fields, *OLD_NAMES}):
        raise UserError(
            f"model '{model.name}': its recipe field '{clash[0]}' is already a field of Recipe; rename it"
        )
    _registered[model.name] = model
    return model


def all_models() -> Mapping[str, Model]:
    """All registered models by name."""
    for module in MODULES:
        importlib.import_module(module)
    return dict(_registered)


def get(name: str) -> Model:
    """The model called `name`. Raises UserError, with the known names, if there is none."""
    known = all_models()
    if name not in known:
        raise UserError(f"unknown model '{name}'; known are {', '.join(known)}")
    return known[name]


def _annotations(kind: type) -> set[str]:
    return set(inspect.get_annotations(kind))


def loss_of(fields: Mapping[str, Any]) -> str:
    """Model.loss_of of the model of a recipe with these fields; the name of a model that is not registered here."""
    name = str(fields.get("model", ""))
    known = all_models().get(name)
    return known.loss_of(fields) if known else name


def check_gpus(names: Iterable[str], gpus: float, flag: str, xla: bool = False) -> None:
    """Raise UserError if a training of one of these models cannot use so many GPUs, or a fraction of one.

    flag: that asks for them. xla: whether its step is compiled.
    """
    if gpus <= 1:
        return
    if gpus != int(gpus):
        raise UserError(f"{flag} {gpus:g}: give a whole number of GPUs, or a fraction below 1")
    if xla:
        raise UserError(f"--xla compiles a step for one GPU; leave it out with {flag} {gpus:g}")
    if alone := [name for name in names if not get(name).several_gpus]:
        raise UserError(f"{flag} {gpus:g}: {alone[0]} trains on one GPU; more GPUs train more trials at once")


def modules_of(names: Iterable[str]) -> tuple[str, ...]:
    """The modules outside this package that register these models; every new process must import them."""
    found = {get(name).trainer.partition(":")[0] for name in names}
    return tuple(
        sorted(module for module in found if not module.startswith(f"{__name__.partition('.')[0]}."))
    )
