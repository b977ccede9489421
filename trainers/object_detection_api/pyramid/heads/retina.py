"""Retina: anchors matched by IoU, focal loss, Lin et al. 2017 (arXiv 1708.02002)."""

from trainers.object_detection_api.pyramid.heads import HEADS, LOSSES
from trainers.object_detection_api.pyramid.heads.head import Head

HEAD = HEADS.register(
    Head(
        name="retina",
        title="Retina",
        losses=f"{LOSSES}.by_iou:losses",
    )
)
