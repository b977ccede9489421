"""The space `retinanet`: RetinaNet50 (SSD ResNet50 V1 FPN). Change the values here to search elsewhere."""

from search_spaces.branch import Branch
from search_spaces.parts.augmentation import PHOTOMETRIC
from search_spaces.parts.parameters import Range
from search_spaces.space import Space

BRANCH = Branch(
    detector="retinanet",
    # seen from scratch on the toy city: Adam 6e-4 reaches .295 in 240 steps of 2 images, 4e-4 .24, 9e-4 .265
    from_scratch={
        "adam": Range(1e-4, 2e-3, log=True),
        "momentum": Range(2e-3, 4e-2, log=True),
        "rms_prop": Range(5e-4, 1e-2, log=True),
    },
    # published: Adam 5e-4 and 1e-3; momentum .001 (the best), .004, .04
    fine_tuning={
        "adam": Range(2e-5, 2e-3, log=True),
        "momentum": Range(5e-4, 5e-2, log=True),
        "rms_prop": Range(1e-4, 1e-2, log=True),
    },
    augmentations={
        "laptop": ("flip", "image_scale", "crop", *PHOTOMETRIC, "black_patches"),
        "zoo": ("flip", "image_scale", "crop", "pad", *PHOTOMETRIC, "black_patches"),
    },
    zoo_batch_sizes=(2, 4, 8, 16),
)

SPACE = Space("retinanet", (BRANCH,))
