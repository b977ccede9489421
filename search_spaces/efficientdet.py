"""The space `efficientdet`: EfficientDet-D1. Edit the ranges here to search other values."""

from search_spaces import published
from search_spaces.detector_branch import DetectorBranch
from search_spaces.parts.augmentation import PHOTOMETRIC
from search_spaces.parts.parameters import Range
from search_spaces.space import Space

BRANCH = DetectorBranch(
    model="efficientdet",
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
    runs=(
        published.Run(
            "urban-2 baseline",
            f"{published.URBAN_2}, baseline",
            8,
            2_000,
            published.MOMENTUM,
            {"kind": "cosine", "base": 0.08, "warmup_rate": 0.001, "warmup": 0.1},
            (published.FLIP, published.SCALE_CROP),
            "mAP .079, mAP50 .200",
            "warm-up not published: a tenth of the steps is assumed",
        ),
    ),
)

SPACE = Space("efficientdet", (BRANCH,), laptop_steps=270)
