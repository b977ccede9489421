"""The space `retinanet`: RetinaNet50 (SSD ResNet50 V1 FPN). Edit the ranges here to search other values."""

from search_spaces import published
from search_spaces.detector_branch import DetectorBranch
from search_spaces.parts.augmentation import PHOTOMETRIC
from search_spaces.parts.parameters import Range
from search_spaces.space import Space

BRANCH = DetectorBranch(
    model="retinanet",
    # measured from scratch on the toy city, before residual branches began as 0: mAP .295 after 240 steps of 2 images
    # with Adam at 6e-4, .24 at 4e-4, .265 at 9e-4
    from_scratch={
        "adam": Range(1e-4, 2e-3, log=True),
        "momentum": Range(2e-3, 4e-2, log=True),
        "rms_prop": Range(5e-4, 1e-2, log=True),
    },
    # published rates: Adam 5e-4 and 1e-3; momentum .001 (the best), .004, .04
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
    runs=(
        published.Run(
            "urban-2 experiment 2",
            f"{published.URBAN_2}, experiment 2",
            8,
            10_000,
            published.ADAM,
            published.EXPERIMENT_SCHEDULE,
            published.EXPERIMENT_AUGMENTATIONS,
            "mAP .138, mAP50 .266",
        ),
        published.Run(
            "peryaudo",
            "peryaudo/nd013-c1-vision-starter",
            2,
            25_000,
            published.MOMENTUM,
            published.zoo_cosine(0.001),
            (published.FLIP, *published.PHOTOMETRIC, published.BLACK_PATCHES),
            "mAP .183, mAP50 .358",
            f"{published.ZOO_COSINE}; strengths of the augmentations not published: the API's defaults",
        ),
        published.Run(
            "zorian-f",
            "zorian-f/nd013-c1-vision-solution",
            5,
            25_000,
            published.MOMENTUM,
            published.zoo_cosine(0.004),
            (published.FLIP, published.CROP),
            "mAP .170, mAP50 .339",
            f"{published.ZOO_COSINE}; augmentations not published: the zoo's are assumed",
        ),
        published.Run(
            "skywall",
            "skywall/nd013-c1-vision-starter",
            4,
            25_000,
            published.ADAM,
            {"kind": "manual_step", "base": 1e-3, "drops": [{"at": 0.6, "factor": 0.1}]},
            (published.FLIP, published.CROP),
            "mAP .163",
            "schedule not published: a drop to a tenth at step 15,000, where the curve jumps; augmentations not "
            "published: the zoo's are assumed",
        ),
        published.Run(
            "urban retinanet",
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

SPACE = Space("retinanet", (BRANCH,), laptop_steps=270)
