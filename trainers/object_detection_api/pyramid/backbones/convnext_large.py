"""ConvNeXt-Large, Liu et al. 2022 (arXiv 2201.03545), with the variables of tf_keras.applications."""

from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.backbones.backbone import Backbone, PublishedFile

BACKBONE = BACKBONES.register(
    Backbone(
        name="convnext_large",
        title="ConvNeXt-Large",
        network="trainers.object_detection_api.pyramid.backbones.networks.convnext:convnext",
        settings={"blocks": (3, 3, 27, 3), "widths": (192, 384, 768, 1536)},
        weights=PublishedFile(
            "https://storage.googleapis.com/tensorflow/keras-applications/convnext/convnext_large_notop.h5",
            "sha256:96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
        ),
        parameters=196_227_264,
        cost=5.0,
        drop_path=True,
        layers=12,
        depth_of="trainers.object_detection_api.pyramid.backbones.networks.convnext:depth",
    )
)
