"""Class names of published weights by label id: those of a label map beside them, or COCO's for the zoo's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trainers import model as models
from trainers.datasets.label_map import read_label_map
from trainers.object_detection_api.checkpoints.reading import digest, variable_shapes
from trainers.object_detection_api.detector import Detector

LABEL_MAP = "label_map.pbtxt"

# COCO 2017: 80 classes with ids up to 90, as object_detection/data/mscoco_label_map.pbtxt has them
_COCO = """
1 person|2 bicycle|3 car|4 motorcycle|5 airplane|6 bus|7 train|8 truck|9 boat|10 traffic light|
11 fire hydrant|13 stop sign|14 parking meter|15 bench|16 bird|17 cat|18 dog|19 horse|20 sheep|21 cow|
22 elephant|23 bear|24 zebra|25 giraffe|27 backpack|28 umbrella|31 handbag|32 tie|33 suitcase|34 frisbee|
35 skis|36 snowboard|37 sports ball|38 kite|39 baseball bat|40 baseball glove|41 skateboard|42 surfboard|
43 tennis racket|44 bottle|46 wine glass|47 cup|48 fork|49 knife|50 spoon|51 bowl|52 banana|53 apple|
54 sandwich|55 orange|56 broccoli|57 carrot|58 hot dog|59 pizza|60 donut|61 cake|62 chair|63 couch|
64 potted plant|65 bed|67 dining table|70 toilet|72 tv|73 laptop|74 mouse|75 remote|76 keyboard|
77 cell phone|78 microwave|79 oven|80 toaster|81 sink|82 refrigerator|84 book|85 clock|86 vase|87 scissors|
88 teddy bear|89 hair drier|90 toothbrush
"""
COCO: Mapping[int, str] = {
    int(number): name
    for number, _, name in (item.strip().partition(" ") for item in _COCO.replace("\n", "").split("|"))
}


def class_names(source: str, prefix: Path) -> Mapping[int, str]:
    """Class names by label id; empty if they are unknown. source: as in InitialWeights. prefix: of the checkpoint.

    Raises UserError if the label map beside the checkpoint cannot be read.
    """
    if source == "zoo":
        return COCO
    beside = prefix.parent / LABEL_MAP
    if beside.is_file():
        return read_label_map(beside)
    return COCO if _is_published(prefix) else {}


def _is_published(prefix: Path) -> bool:
    """Whether it is in a folder named as the zoo's archive, and has the variables that the zoo publishes."""
    digests = {
        each.zoo_digest
        for each in models.all_models().values()
        if isinstance(each, Detector) and each.zoo_archive and each.zoo_archive in prefix.parts[-3:-1]
    }
    return bool(digests) and digest(variable_shapes(prefix)) in digests
