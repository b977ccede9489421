"""Sizing: image size, batch size and steps of a search on the user's own data, chosen from the data and the budget.

Detail costs time: a step on images of twice the side takes four times as long. So the image size is the largest that the
objects need, and of which the budget affords several full trainings. Where memory does not suffice, a step has fewer
images, as long as there are two.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers import task as tasks
from trainers.datasets.dataset import Dataset
from trainers.errors import UserError
from trainers.hardware.machine import memory_here
from tuning.api.forecast import speed
from tuning.api.forecast.speed import TABLE, FirstSteps
from tuning.api.settings import Settings

TRAININGS = 6  # full ones that the budget should afford: about 20 trials, most of them stopped early
LONGEST = 600.0  # seconds of a full training on a CPU, where no time is given
SMALL = 0.25  # share of the objects that may be too small to be learned
EPOCHS = 15  # published fine-tunings see each image 10 to 50 times
MOST_STEPS = 2000
LONGER = 3  # from scratch, times as many of both (He et al., "Rethinking ImageNet Pre-training", 2019), if there is time
FEWEST_IMAGES = 2  # of a batch, as in the smallest of published fine-tunings
FEWEST_STEPS = 150  # of a full training, before a larger image is worth more
# of a worker's memory: activations and gradients of the largest model; the smallest takes a third
BYTES_PER_PIXEL = 4000


@dataclass(frozen=True)
class Sized:
    """The image size in pixels, the steps of a full training and the images of a step; lines for the user say why.

    batch_size: None for that of each model's preset.
    """

    image_size: int
    steps: int
    batch_size: int | None
    reasons: tuple[str, ...]


def fitted(
    settings: Settings,
    space: Space,
    conditions: Conditions,
    dataset: Dataset,
    first_steps: Mapping[str, FirstSteps],
) -> tuple[Settings, tuple[str, ...]]:
    """The settings with an image size, a batch size and steps that suit the data, where they were left open; and why.

    first_steps: by model, of those that have taken some here. They are as given if the task knows no sizes of objects.
    """
    sides = tasks.get(space.task).object_sides(dataset)
    if sides is None:
        return settings, ()
    chosen = sized(settings, space, conditions, sides, dataset.train.images, memory_here(), first_steps)
    found = replace(
        settings, image_size=chosen.image_size, max_steps=chosen.steps, batch_size=chosen.batch_size
    )
    return found, chosen.reasons


def sized(
    settings: Settings,
    space: Space,
    conditions: Conditions,
    sides: np.ndarray,
    images: int,
    memory: float,
    first_steps: Mapping[str, FirstSteps],
) -> Sized:
    """Choose what the settings leave open.

    sides: (N,) float, of each object: the root of its area as a share of its image's, 0 to 1.
    images: for training. memory: bytes of this machine for all workers. first_steps: by model, of those that took some.
    Raises UserError if every object is too small to be learned at any size that time and memory allow.
    """
    branches = space.branches
    batch = max(size for branch in branches for size in branch.batch_sizes(conditions))
    base = max(branch.fixed(conditions)["image_size"] for branch in branches)
    smallest = max(branch.about.smallest_object for branch in branches)
    offered = (settings.image_size,) if settings.image_size else _sizes(space, conditions.from_scratch, base)
    step = _seconds_of_step(settings, space, conditions, base**2 * batch, first_steps)
    wanted = settings.max_steps or _steps_for(images, batch, settings)
    least = settings.max_steps or max(FEWEST_STEPS, wanted // 2)
    allowed = _seconds_of_training(settings)

    batches = [batch] if settings.batch_size else _halved(batch)

    def in_memory(size: int) -> list[int]:
        """The batch sizes that a worker has the memory for, largest first."""
        return [each for each in batches if size**2 * each * BYTES_PER_PIXEL <= memory / settings.at_once]

    def fits(size: int) -> bool:
        return bool(in_memory(size)) and (step is None or step * (size / base) ** 2 * least <= allowed)

    def lost(size: int) -> float:
        return float(np.mean(sides * size < smallest)) if len(sides) else 0.0

    needed = next((size for size in offered if lost(size) <= SMALL), offered[-1])
    size = max((each for each in offered if each <= needed and fits(each)), default=offered[0])
    if len(sides) and not settings.image_size and lost(size) == 1:
        raise UserError(
            f"every object is smaller than {smallest:.0f} px at {size} px, the largest image size for which time and "
            "memory suffice: too small to be learned; give more --time, an --image-size, or parts of the images"
        )
    fitting = (in_memory(size) or batches[-1:])[0]
    longer = LONGER if conditions.from_scratch else 1
    steps = settings.max_steps or longer * _steps_for(images, fitting, settings)
    if step is not None and not settings.max_steps:
        affordable = int(allowed / (step * (size / base) ** 2 * fitting / batch))
        steps = min(steps, max(affordable, 2 * space.first_rung))
    why = f"{lost(size):.0%} of the objects are then smaller than {smallest:.0f} px, too small to be learned"
    if size < needed:
        why += f" ({lost(needed):.0%} at {needed} px, for which time or memory do not suffice)"
    reasons = []
    if not settings.image_size:
        reasons.append(f"image size {size} px (--image-size): {why}")
    if not settings.max_steps:
        seen = steps * fitting / max(1, images)
        reasons.append(f"{steps} steps (--max-steps): each training image {seen:.0f} times")
    if fitting < batch:
        reasons.append(
            f"batch {fitting} (--batch-size): {batch} images of {size} px need "
            f"{size**2 * batch * BYTES_PER_PIXEL / 1e9:.1f} GB, and each of {settings.at_once} workers has "
            f"{memory / settings.at_once / 1e9:.1f} GB"
        )
    return Sized(size, steps, fitting if fitting < batch else settings.batch_size, tuple(reasons))


def _steps_for(images: int, batch: int, settings: Settings) -> int:
    """Enough to see each image EPOCHS times, and at least the preset's."""
    return min(MOST_STEPS, max(settings.steps, EPOCHS * images // batch))


def _halved(batch: int) -> list[int]:
    """The batch size, half of it, and so on, but of at least FEWEST_IMAGES."""
    return [batch] + (_halved(batch // 2) if batch // 2 >= FEWEST_IMAGES else [])


def _sizes(space: Space, from_scratch: bool, base: int) -> Sequence[int]:
    """The sizes that all models take, up to the largest: from half of it, or from scratch from the preset's."""
    models = [branch.about for branch in space.branches]
    multiple = math.lcm(*(model.image_size_multiple for model in models))
    largest = min(
        model.largest_image_size or max(int(preset["image_size"]) for preset in model.presets.values())
        for model in models
    )
    low = base if from_scratch else max(base, largest // 2)
    low = max(low, *(model.min_image_size for model in models))
    return range(-(-low // multiple) * multiple, largest + 1, multiple) or (base,)


def _seconds_of_step(
    settings: Settings,
    space: Space,
    conditions: Conditions,
    pixels: int,
    first_steps: Mapping[str, FirstSteps],
) -> float | None:
    """Of a step over so many pixels, mean over the models and their sizes; None if it is unknown."""
    counts = {branch.model: round(pixels * branch.mean_cost(conditions)) for branch in space.branches}
    speeds = speed.known(counts, settings.cpus, settings.studies_dir, first_steps=first_steps)
    known = [
        each.step
        for each in speeds.values()
        if each.step is not None and not (settings.gpus and each.source == TABLE)
    ]
    return statistics.mean(known) if len(known) == len(speeds) else None


def _seconds_of_training(settings: Settings) -> float:
    """How long a full training of one worker may take."""
    budget = settings.budget
    limits = []
    if budget.seconds is not None:
        limits.append(budget.seconds * settings.at_once)
    if budget.all_gpu_hours is not None and settings.gpus:
        limits.append(budget.all_gpu_hours * 3600 / settings.gpus)
    return min(limits) / TRAININGS if limits else LONGEST
