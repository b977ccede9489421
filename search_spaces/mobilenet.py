"""The space `mobilenet`: SSD MobileNet V2 FPNLite. Edit the ranges here to search other values."""

from search_spaces import published
from search_spaces.detector_branch import DetectorBranch
from search_spaces.parts.augmentation import PHOTOMETRIC
from search_spaces.parts.parameters import Range
from search_spaces.space import Space

BRANCH = DetectorBranch(
    model="mobilenet",
    # measured from scratch on the toy city: mAP .30 after 150 steps with Adam at 1e-3, .18 at 2e-3, .14 at 5e-4
    from_scratch={
        "adam": Range(3e-4, 4e-3, log=True),
        "momentum": Range(5e-3, 1e-1, log=True),
        "rms_prop": Range(1e-3, 3e-2, log=True),
    },
    # published rates: Adam 5e-4; momentum .04
    fine_tuning={
        "adam": Range(5e-5, 3e-3, log=True),
        "momentum": Range(1e-3, 8e-2, log=True),
        "rms_prop": Range(2e-4, 2e-2, log=True),
    },
    augmentations={
        "laptop": ("flip", "image_scale", "crop", *PHOTOMETRIC, "black_patches"),
        "zoo": ("flip", "image_scale", "crop", "pad", *PHOTOMETRIC, "black_patches"),
    },
    zoo_batch_sizes=(4, 8, 16, 32),
    runs=(
        published.Run(
            "urban-2 experiment 1",
            f"{published.URBAN_2}, experiment 1",
            8,
            10_000,
            published.ADAM,
            published.EXPERIMENT_SCHEDULE,
            published.EXPERIMENT_AUGMENTATIONS,
            "mAP .128, mAP50 .262",
        ),
        published.Run(
            "urban mobilenet",
            published.URBAN,
            8,
            2_000,
            published.MOMENTUM,
            published.STOPPED_COSINE,
            (
                published.FLIP,
                published.CROP,
                {"name": "random_adjust_brightness", "options": {"max_delta": 0.05}},
                published.BLACK_PATCHES,
            ),
            "mAP not given",
        ),
    ),
)

SPACE = Space("mobilenet", (BRANCH,), laptop_steps=270, laptop_trials=18)
