"""The space `unet`: the U-Net with a MobileNetV2 encoder. Edit the ranges here to search other values."""

from search_spaces.parts.augmentation import PHOTOMETRIC
from search_spaces.parts.parameters import Range
from search_spaces.segmenters.branch import SegmenterBranch
from search_spaces.space import Space

AUGMENTATIONS = ("flip", "image_scale", "crop", *PHOTOMETRIC)

BRANCH = SegmenterBranch(
    model="unet",
    from_scratch={
        "adam": Range(3e-4, 1e-2, log=True),
        "momentum": Range(1e-2, 5e-1, log=True),
        "rms_prop": Range(1e-3, 3e-2, log=True),
    },
    fine_tuning={
        "adam": Range(1e-4, 3e-3, log=True),
        "momentum": Range(3e-3, 1e-1, log=True),
        "rms_prop": Range(3e-4, 1e-2, log=True),
    },
    augmentations={"laptop": AUGMENTATIONS, "zoo": AUGMENTATIONS},
    zoo_batch_sizes=(8, 16, 32),
    shape={"width": (0.35, 0.5, 1.0), "decoder_filters": (8, 16, 32)},
)

SPACE = Space("unet", (BRANCH,), choice="model")
