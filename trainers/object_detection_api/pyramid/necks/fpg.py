"""FPG: feature pyramid grids, Chen et al. 2020 (arXiv 2004.03580)."""

from trainers.object_detection_api.pyramid.necks import NECKS
from trainers.object_detection_api.pyramid.necks.neck import Neck

NECK = NECKS.register(
    Neck(
        name="fpg",
        title="FPG",
        network="trainers.object_detection_api.pyramid.necks.networks.grid:FPG",
        fewest_levels=4,
        pathway_cost=0.09,
        pathway_parameters=4_000_000,
    )
)
