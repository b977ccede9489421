"""The space `follow_me`: find the person to follow, pixel by pixel. Edit the ranges here to search other values."""

from search_spaces.branch import Published, recipe_of
from search_spaces.parts.augmentation import PHOTOMETRIC
from search_spaces.parts.parameters import Range
from search_spaces.segmenters.branch import SegmenterBranch
from search_spaces.space import Space

AUGMENTATIONS = ("flip", "image_scale", "crop", *PHOTOMETRIC)

# github.com/udacity/RoboND-DeepLearning-Project, a student's write-up: 30 epochs of 100 steps, Keras' Adam
STUDENT = {
    "model": "fcn", "image_size": 160, "batch_size": 32, "steps": 3000, "optimizer": {"kind": "adam", "epsilon": 1e-7},
    "schedule": {"kind": "constant", "base": 0.01}, "depth": 2, "filters": 32, "decoder_convolutions": 2,
}  # fmt: skip

BRANCH = SegmenterBranch(
    model="fcn",
    from_scratch={
        "adam": Range(1e-3, 3e-2, log=True),
        "momentum": Range(2e-2, 1.0, log=True),
        "rms_prop": Range(3e-3, 1e-1, log=True),
    },
    fine_tuning={
        "adam": Range(1e-4, 1e-2, log=True),
        "momentum": Range(5e-3, 3e-1, log=True),
        "rms_prop": Range(1e-3, 3e-2, log=True),
    },
    augmentations={"laptop": AUGMENTATIONS, "zoo": AUGMENTATIONS},
    zoo_batch_sizes=(8, 16, 32),
    shape={"depth": (2, 3, 4), "filters": (8, 16, 32), "decoder_convolutions": (1, 2)},
    recipes=(
        Published(
            "follow me student",
            "a student's Follow Me write-up: final score .399, on four times the data",
            recipe_of("follow me student", STUDENT),
        ),
    ),
)

SPACE = Space("follow_me", (BRANCH,), choice="model")
