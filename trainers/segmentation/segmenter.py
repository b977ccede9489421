"""Segmenter: the description of a segmentation model, and SegmentationRecipe: the recipe of such a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field, field_validator

from trainers.augmentations import Augmentation
from trainers.model import Model
from trainers.recipe import Recipe
from trainers.segmentation.data.augmentation import APPLIED


class SegmentationRecipe(Recipe):
    """The recipe of a segmentation model: Recipe with these additional fields.

    l2: weight of half the sum of squares of the kernels; None for none.
    class_balance: exponent b of the classes' weights in the loss, proportional to (share of pixels) ** -b; 0 weighs
        every pixel alike, 1 every class.
    focal_gamma: exponent of the focal loss (Lin et al. 2017, equation 4); 0 is cross-entropy.
    dice: share of the loss that is soft Dice (Milletari et al. 2016), mean over the classes; the rest is cross-entropy.
    flip_test: whether the network sees an image and its mirror image, in evaluation and when served, and the mean of
        both probabilities decides (FLIP_TEST of HRNet's code); twice the work.
    logit_adjustment: what decides is each logit minus this times the logarithm of its class's share of the training
        pixels (Menon et al., "Long-tail learning via logit adjustment", 2021, equation 9); 0 for none. More finds more
        of the rare classes, and takes more for them. It changes nothing in training.
    region_vote: where a connected region of all classes but the first has at least this share of pixels of one, all of
        it gets that class, the rarest first (exported_segmenter.one_class_regions); 0 for none. For things such as
        persons, of which a region shows one. It changes nothing in training either.
    """

    added_later: ClassVar[Mapping[str, Any]] = {
        "flip_test": False,
        "logit_adjustment": 0.0,
        "region_vote": 0.0,
    }

    l2: float | None = Field(default=None, ge=0, le=1)
    class_balance: float = Field(default=0.0, ge=0, le=1)
    focal_gamma: float = Field(default=0.0, ge=0, le=5)
    dice: float = Field(default=0.0, ge=0, le=1)
    flip_test: bool = False
    logit_adjustment: float = Field(default=0.0, ge=0, le=2)
    region_vote: float = Field(default=0.0, ge=0, le=1)

    @field_validator("augmentations")
    @classmethod
    def _augmentations_apply_to_masks(cls, given: tuple[Augmentation, ...]) -> tuple[Augmentation, ...]:
        for each in given:
            if each.name not in APPLIED:
                raise ValueError(f"{each.name} is not for masks; known are {', '.join(APPLIED)}")
        return given


@dataclass(frozen=True, kw_only=True)
class Segmenter(Model):
    """The description of a segmentation model: Model with this additional field.

    network: (recipe, number of classes) -> a tf_keras model, images (N, S, S, 3) float32 of 0 to 255 -> logits
        (N, S, S, classes). It must not import tf_keras before it is called.
    relative: recipe fields -> cost of a gradient step relative to `cost`; None for a model of one size.
    first_rung: by then, a network of the Follow Me data had found the rarest class in some image.
    smallest_object: with fewer pixels than its square, a class was hardly found in an image of the Follow Me data.
    """

    task: str = "segmentation"
    trainer: str = "trainers.segmentation.trainer:alone_in_process"
    average: str | None = "trainers.keras_training.checkpoint_average:average"
    recipe: type[Recipe] = SegmentationRecipe
    graph_fields: tuple[str, ...] = ("image_size",)
    after_training: Mapping[str, Sequence[Any]] = field(
        default_factory=lambda: {
            "logit_adjustment": (0.0, 0.25, 0.5, 0.75),
            "region_vote": (0.0, 0.1, 0.2, 0.3, 0.5),
        }
    )
    smallest_object: float = 8.0
    first_rung: int = 150
    network: Callable[[Any, int], Any]
    relative: Callable[[Mapping[str, Any]], float] | None = None

    def relative_cost(self, fields: Mapping[str, Any]) -> float:
        """See Model.relative_cost."""
        return self.relative(fields) if self.relative else 1.0
