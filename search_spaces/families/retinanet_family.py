"""The space `retinanet_family`: backbone, neck and head of a RetinaNet, and how it is trained. Edit the ranges here."""

from search_spaces.families.parts_branch import PartsBranch
from search_spaces.parts.augmentation import PHOTOMETRIC
from search_spaces.parts.parameters import Range
from search_spaces.space import Space

CONVNEXTS = ("convnext_tiny", "convnext_small", "convnext_base", "convnext_large")

# mAP50 .177 to .607, without saying which choice did it. Batches of 8 of 5,000 images are assumed: 12 epochs are 7,500
# steps.
WASTE = "RetinaNets for ten classes of waste, mmdetection: mAP50 .177 to .607; 5,000 images in batches of 8 assumed"
EPOCH = 625  # steps


def _epochs(count: int, drops: tuple[int, int]) -> dict[str, object]:
    """The steps and the schedule of so many epochs: 500 steps of warm-up, and a tenth of the rate from each drop on."""
    first, second = (drop / count for drop in drops)
    warm = {"at": 500 / (count * EPOCH), "factor": 1.0}
    falls = [warm, {"at": first, "factor": 0.1}, {"at": second, "factor": 0.01}]
    schedule = {"kind": "manual_step", "base": 1e-4, "warmup": True, "drops": falls}
    return {"steps": count * EPOCH, "schedule": schedule}


TINY = {"backbone": "convnext_tiny", "drop_path": 0.4, "layer_decay": 0.7}
LARGE = {"backbone": "convnext_large", "drop_path": 0.5, "layer_decay": 0.8}
RANGE = {"train_sizes": (512, 544, 576, 608, 640)}  # 640 to 800 of 800
TWO = {"train_sizes": (320, 640)}  # 666x400 and 1333x800
KNOWN = (
    ("1x convnext_tiny", WASTE, TINY),
    ("1x resnet101 free_anchor", WASTE, {"backbone": "resnet101", "head": "free_anchor"}),
    ("3x resnet50 multi-scale", WASTE, _epochs(36, (27, 33)) | RANGE),
    ("1x resnext101 pisa", WASTE, {"backbone": "resnext101", "head": "pisa"}),
    ("1x resnet50 fpg", WASTE, {"neck": "fpg"}),
    ("3x convnext_tiny two scales", WASTE, TINY | _epochs(36, (27, 33)) | TWO),
    ("50e convnext_large", f"{WASTE}; drops assumed at epochs 37 and 46", LARGE | _epochs(50, (37, 46))),
)

BRANCH = PartsBranch(
    model="retinanet_family",
    from_scratch={"adamw": Range(1e-4, 2e-3, log=True), "momentum": Range(2e-3, 4e-2, log=True)},
    fine_tuning={"adamw": Range(2e-5, 1e-3, log=True), "momentum": Range(5e-4, 5e-2, log=True)},
    augmentations={
        "laptop": ("flip", "mild_scale_crop", *PHOTOMETRIC, "black_patches"),
        "zoo": ("flip", "scale_crop", *PHOTOMETRIC, "black_patches"),
    },
    zoo_batch_sizes=(2, 4, 8, 16),
    parts={
        "backbone": ("resnet50", "mobilenet_v2", "resnet101", "resnext101", *CONVNEXTS),
        "neck": ("fpn", "fpg"),
        "head": ("retina", "free_anchor", "pisa"),
        "extra_levels": ("p5", "c5"),
        "layer_decay": Range(0.6, 1.0),
    },
    when={
        "drop_path": ("backbone", CONVNEXTS, Range(0.0, 0.6)),
        "pathways": ("neck", ("fpg",), (3, 5, 9)),
        "box_loss": ("head", ("retina", "pisa"), ("smooth_l1", "l1")),
    },
    scales={"off": (), "two": (0.5, 1.0), "range": (0.8, 0.85, 0.9, 0.95, 1.0)},
    known=KNOWN,
)

SPACE = Space("retinanet_family", (BRANCH,), laptop_steps=270)
