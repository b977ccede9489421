"""PISA: prime samples weigh more, Cao et al. 2020 (arXiv 1904.04821)."""

from trainers.object_detection_api.pyramid.heads import HEADS, LOSSES
from trainers.object_detection_api.pyramid.heads.head import Head

HEAD = HEADS.register(
    Head(
        name="pisa",
        title="PISA",
        losses=f"{LOSSES}.prime_samples:losses",
    )
)
