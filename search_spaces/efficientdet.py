"""The space `efficientdet`: EfficientDet-D1. Change the values here to search elsewhere."""

from search_spaces.branch import Branch
from search_spaces.parts.augmentation import PHOTOMETRIC
from search_spaces.parts.parameters import Range
from search_spaces.space import Space

BRANCH = Branch(
    detector="efficientdet",
    from_scratch={
        "adam": Range(3e-4, 4e-3, log=True),
        "momentum": Range(5e-3, 1e-1, log=True),
        "rms_prop": Range(1e-3, 3e-2, log=True),
    },
    # published: momentum .08
    fine_tuning={
        "adam": Range(5e-5, 3e-3, log=True),
        "momentum": Range(1e-3, 1e-1, log=True),
        "rms_prop": Range(2e-4, 2e-2, log=True),
    },
    augmentations={
        "laptop": ("flip", "image_scale", "mild_scale_crop", *PHOTOMETRIC, "black_patches"),
        "zoo": ("flip", "image_scale", "scale_crop", *PHOTOMETRIC, "black_patches"),
    },
    zoo_batch_sizes=(2, 4, 8, 16),
)

SPACE = Space("efficientdet", (BRANCH,))
