"""FPN: a feature pyramid network, Lin et al. 2017 (arXiv 1612.03144)."""

from trainers.object_detection_api.pyramid.necks import NECKS
from trainers.object_detection_api.pyramid.necks.neck import Neck

NECK = NECKS.register(
    Neck(
        name="fpn",
        title="FPN",
        network="trainers.object_detection_api.pyramid.necks.networks.top_down:FPN",
    )
)
