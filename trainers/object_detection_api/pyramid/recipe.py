"""PyramidRecipe: the recipe of a detector that is put together from a backbone, a neck and a head."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from trainers import model as models
from trainers.errors import UserError
from trainers.object_detection_api.detector import DetectorRecipe
from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.heads import HEADS
from trainers.object_detection_api.pyramid.necks import NECKS
from trainers.object_detection_api.pyramid.parts import Parts
from trainers.object_detection_api.pyramid.structure import Structure
from trainers.recipe import InitialWeights

KINDS: dict[str, Parts[Any]] = {"backbone": BACKBONES, "neck": NECKS, "head": HEADS}


MOST_SIZES = 8  # each is a graph, which takes seconds to trace and memory to keep


class PyramidRecipe(DetectorRecipe):
    """DetectorRecipe with these additional fields; `l2` is of neck and head alone.

    backbone, neck, head: names of registered parts.
    channels: of the neck's feature maps. levels: number of feature maps, from P3 on.
    pathways: of a neck with several (FPG: 9 published). Others ignore it.
    extra_levels: whether the levels above P5 are made of C5 or of P5.
    box_loss: of the box coordinates; FreeAnchor has its own.
    layer_decay: factor of the backbone's learning rate for each layer further from the neck; 1 for one rate.
    train_sizes: sides in pixels, of which each training step draws one, to which images are scaled with their aspect
        kept; none for `image_size`, in which evaluation, export and serving always are.
    drop_path: probability of dropping the last residual branch in training; it rises linearly from 0 at the first.
    """

    backbone: str
    neck: str = "fpn"
    head: str = "retina"
    channels: int = Field(default=256, ge=16, le=512, multiple_of=8)
    levels: int = Field(default=5, ge=3, le=6)
    pathways: int = Field(default=9, ge=1, le=16)
    extra_levels: Literal["c5", "p5"] = "p5"
    box_loss: Literal["smooth_l1", "l1"] = "smooth_l1"
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    train_sizes: tuple[int, ...] = Field(default=(), max_length=MOST_SIZES)
    drop_path: float = Field(default=0.0, ge=0, lt=1)

    @field_validator(*KINDS)
    @classmethod
    def _part_is_known(cls, name: str, info: Any) -> str:
        try:
            return str(KINDS[info.field_name][name].name)
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("weights")
    @classmethod
    def _published_is_of_the_backbone(cls, weights: InitialWeights) -> InitialWeights:
        """What is published are classifiers."""
        return weights.model_copy(update={"part": "classification"}) if weights.source == "zoo" else weights

    @field_validator("freeze_batch_norm")
    @classmethod
    def _batch_norm_goes_on(cls, frozen: bool) -> bool:
        if frozen:
            raise ValueError(
                "is for detectors with published weights of the whole, not of the backbone alone"
            )
        return frozen

    @model_validator(mode="after")
    def _parts_fit(self) -> PyramidRecipe:
        neck = NECKS[self.neck]
        if self.levels < neck.fewest_levels:
            raise ValueError(f"levels {self.levels}: {neck.title} needs at least {neck.fewest_levels}")
        if self.drop_path and not BACKBONES[self.backbone].drop_path:
            able = ", ".join(name for name, each in BACKBONES.items() if each.drop_path)
            raise ValueError(
                f"drop_path {self.drop_path:g}: {self.backbone} has none; use 0, or one of {able}"
            )
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> PyramidRecipe:
        if len(set(self.train_sizes)) < len(self.train_sizes):
            raise ValueError(f"train_sizes {list(self.train_sizes)}: has a size twice")
        for size in self.train_sizes:
            models.get(self.model).check_image_size(size)
            if size > self.image_size:
                raise ValueError(
                    f"train_sizes: {size} is above image_size {self.image_size}, to which images are read; raise that"
                )
        return self

    @property
    def structure(self) -> Structure:
        """The parts, as they are built."""
        names = Structure.__dataclass_fields__
        return Structure(**{name: getattr(self, name) for name in names})
