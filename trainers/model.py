"""Model: what is known of a model before anything is built, and the register of all models by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainers.errors import UserError

if TYPE_CHECKING:
    from trainers.recipe import Recipe

# Importing one of these registers its models; none of them imports TensorFlow.
MODULES = ("trainers.object_detection_api.detectors",)


@dataclass(frozen=True)
class Cost:
    """What is known of a model's cost; None where nothing is.

    cpu_step_seconds: of a gradient step over `pixels` pixels on one CPU core of 40 GFLOP/s whose neighbour is as busy.
    pixels: of all images of that step.
    shared_part: the part of a step that more cores share, for Amdahl's law.
    parameters: how many values its variables hold.
    """

    cpu_step_seconds: float | None = None
    pixels: int = 160 * 160 * 8
    shared_part: float = 0.6
    parameters: int = 0

    def speedup(self, cpus: float) -> float:
        """How many times faster a step is on so many cores than on one: Amdahl's law."""
        return 1 / (1 - self.shared_part + self.shared_part / max(1.0, cpus))

    def step_seconds(self, pixels: int, cpus: float) -> float | None:
        """Seconds of a gradient step over so many pixels on so many cores; None when nothing is known."""
        if self.cpu_step_seconds is None:
            return None
        return self.cpu_step_seconds * pixels / self.pixels / self.speedup(cpus)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that recipes may name.

    name: the word that a recipe and `--space` use. title: the name that people publish it under.
    task: the name of its Task. trainer: "module:callable", called with a Dataset and the keywords `cpus` (int) and
        `gpu_fraction` (float), returns its Trainer. In worker processes that module is imported first, and must
        register the model.
    recipe: its class of recipes: trainers.recipe.Recipe, or a subclass that adds the model's own fields.
    presets: Recipe fields by preset: "laptop", with which it learns from scratch in minutes on a CPU, and possibly
        "zoo", its published training.
    min_image_size, image_size_multiple: pixels; rules for the side of its square input.
    graph_fields: recipes that agree in these fields are trained by the same graph, so a worker builds nothing anew.
    initial_weights: "module:callable" that resolves `--weights` for it (trainers.weights); None: from scratch only.
    published_at: where its published training comes from, in a phrase.
    """

    name: str
    title: str
    task: str
    trainer: str
    recipe: type[Recipe]
    presets: Mapping[str, Mapping[str, Any]]
    min_image_size: int = 1
    image_size_multiple: int = 1
    graph_fields: tuple[str, ...] = ("image_size", "batch_size")
    initial_weights: str | None = None
    published_at: str = ""
    cost: Cost = field(default_factory=Cost)

    def check_image_size(self, size: int) -> None:
        """Raise ValueError, with the nearest sizes that work, when the model cannot take `size` pixels."""
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
    """Make `model` known by its name and return it.

    Raises UserError when another model has the name, or one of its own recipe fields has the name of a shared one.
    """
    from trainers.recipe import OLD_NAMES, Recipe

    known = _registered.get(model.name)
    if known is not None and known != model:
        raise UserError(f"two models are called '{model.name}'; rename one of them")
    own = {name for kind in model.recipe.__mro__ if kind not in Recipe.__mro__ for name in _annotations(kind)}
    if clash := sorted(own & {*Recipe.model_fields, *OLD_NAMES}):
        raise UserError(
            f"model '{model.name}': its recipe field '{clash[0]}' is a shared field; give it another name"
        )
    _registered[model.name] = model
    return model


def all_models() -> Mapping[str, Model]:
    """Every registered model by name."""
    for module in MODULES:
        importlib.import_module(module)
    return dict(_registered)


def get(name: str) -> Model:
    """The model called `name`. Raises UserError, with the known names, when there is none."""
    known = all_models()
    if name not in known:
        raise UserError(f"unknown model '{name}'; known are {', '.join(known)}")
    return known[name]


def _annotations(kind: type) -> set[str]:
    return set(inspect.get_annotations(kind))


def modules_of(names: Iterable[str]) -> tuple[str, ...]:
    """The modules that register these models, as far as they are not this package's own: other processes import them."""
    found = {get(name).trainer.partition(":")[0] for name in names}
    return tuple(
        sorted(module for module in found if not module.startswith(f"{__name__.partition('.')[0]}."))
    )
