"""ConvNeXt-Base, Liu et al. 2022 (arXiv 2201.03545), with the variables of tf_keras.applications."""

from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.backbones.backbone import Backbone, PublishedFile

BACKBONE = BACKBONES.register(
    Backbone(
        name="convnext_base",
        title="ConvNeXt-Base",
        network="trainers.object_detection_api.pyramid.backbones.networks.convnext:convnext",
        settings={"blocks": (3, 3, 27, 3), "widths": (128, 256, 512, 1024)},
        weights=PublishedFile(
            "https://storage.googleapis.com/tensorflow/keras-applications/convnext/convnext_base_notop.h5",
            "sha256:40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
        ),
        parameters=87_564_416,
        cost=2.5,
        drop_path=True,
        layers=12,
        depth_of="trainers.object_detection_api.pyramid.backbones.networks.convnext:depth",
    )
)
