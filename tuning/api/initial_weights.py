"""Resolves `--weights`: the initial weights of a space's models."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import importlib
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainers import model as models
from trainers.datasets.toy_city import is_toy_city
from trainers.errors import UserError
from trainers.keras_training import start_up_lines
from trainers.recipe import InitialWeights

PARTS = ("classification", "detection", "boxes")  # of initial weights, from the least to the most
NEEDED = (
    "from scratch, few photographs teach a detector little: `python -m tuning.weights fetch` where there is a network, "
    "or --weights PATH, lets trials start from a trained one"
)


@dataclass(frozen=True)
class Resolved:
    """What `--weights` was resolved to.

    weights: None when trials use the preset's. messages: for the user. zoo_sha256: of the zoo's archives, by model.
    start: what the model's resolver returned (Model.initial_weights); None if there was none.
    """

    weights: InitialWeights | None
    messages: list[str]
    zoo_sha256: Mapping[str, str] = field(default_factory=dict)
    start: Any = None

    @property
    def published(self) -> bool:
        """Whether trials start from published weights."""
        return self.weights is None or self.weights.source == "zoo"

    def as_begun(self, part: str) -> Resolved:
        """The same for a study that was begun with this part of the weights."""
        weights = self.weights and self.weights.model_copy(update={"part": part})
        return dataclasses.replace(self, weights=weights)

    def taken_over(self, classes: Sequence[str]) -> list[str]:
        """A line for the user on which of the data's classes start from the weights of a class of the same name."""
        if self.weights is None or self.weights.part != "boxes" or self.start is None:
            return []
        return [self.start.says_of_classes(classes)]


def own_data(data: str | None) -> bool:
    """Whether the data are the user's own, not the toy city."""
    return data is not None and not is_toy_city(data)


def wanted(choice: str, preset: str, own_data: bool) -> str:
    """What `--weights` asks for: "none", "zoo" (the published weights) or the path of a checkpoint.

    "auto" is "zoo" with the preset "zoo", and for data of the user's own: there are too few images in nearly all of
    them to learn from scratch. The toy city is made to be learned from scratch.
    """
    if choice != "auto":
        return choice
    return "zoo" if preset == "zoo" or own_data else "none"


def resolve(choice: str, preset: str, names: tuple[str, ...], asked: bool = True) -> Resolved:
    """The initial weights for trials of the models `names`.

    choice: "none", "zoo" or the path of a checkpoint; see `wanted`. preset: "laptop" or "zoo". asked: whether it is what
    the user wrote, and so refused where a model cannot start from it. May download an archive.
    Raises UserError when the path holds no checkpoint, a model cannot start from one, the published weights were asked
    for and cannot be had, or the zoo has another archive than it had at the first download.
    """
    if choice == "none":
        return Resolved(InitialWeights(source="none"), ["trials start from scratch"])
    lacking = [name for name in names if models.get(name).initial_weights is None]
    if lacking and asked:
        raise UserError(f"--weights {choice}: {lacking[0]} can only start from scratch; give --weights none")
    if lacking:
        message = f"{lacking[0]} has no published weights: trials start from scratch"
        return Resolved(InitialWeights(source="none"), [message])
    # in a subprocess: reading a checkpoint needs TensorFlow, which the driver does not import
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        word = "auto" if choice == "zoo" else choice
        starts = {name: pool.submit(_resolved, word, name).result() for name in names}
    messages = [start.message for start in starts.values()]
    sources = {start.source for start in starts.values()}
    if asked and choice == "zoo" and "none" in sources:
        lacking_start = next(one for one in starts.values() if one.source == "none")
        raise UserError(f"--weights zoo: {lacking_start.message.partition(': ')[2]}")
    if sources == {"none"} and preset == "laptop":
        messages.append(NEEDED)
    if len(sources) > 1:  # models must be compared from equal starts, whichever archives could be downloaded
        return Resolved(InitialWeights(source="none"), [*messages, "so all of them train from scratch"])
    source = sources.pop()
    hashes = {name: start.sha256 for name, start in starts.items() if start.sha256}
    if source == "zoo" and preset == "zoo":
        return Resolved(None, messages, hashes)
    parts = {start.part for start in starts.values()} if source != "none" else {"detection"}
    part = min(parts, key=PARTS.index)  # equal starts here too
    return Resolved(InitialWeights(source=source, part=part), messages, hashes, next(iter(starts.values())))


def _resolved(choice: str, name: str) -> Any:
    start_up_lines.hide()
    module, _, function = str(models.get(name).initial_weights).partition(":")
    return getattr(importlib.import_module(module), function)(choice, name)
