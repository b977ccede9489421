"""FreeAnchor: anchors matched by likelihood, Zhang et al. 2019 (arXiv 1909.02466)."""

from trainers.object_detection_api.pyramid.heads import HEADS, LOSSES
from trainers.object_detection_api.pyramid.heads.head import Head

HEAD = HEADS.register(
    Head(
        name="free_anchor",
        title="FreeAnchor",
        losses=f"{LOSSES}.bag_likelihood:losses",
        own_box_loss=True,
    )
)
