"""ConvNeXt-Small, Liu et al. 2022 (arXiv 2201.03545), with the variables of tf_keras.applications."""

from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.backbones.backbone import Backbone, PublishedFile

BACKBONE = BACKBONES.register(
    Backbone(
        name="convnext_small",
        title="ConvNeXt-Small",
        network="trainers.object_detection_api.pyramid.backbones.networks.convnext:convnext",
        settings={"blocks": (3, 3, 27, 3), "widths": (96, 192, 384, 768)},
        weights=PublishedFile(
            "https://storage.googleapis.com/tensorflow/keras-applications/convnext/convnext_small_notop.h5",
            "sha256:6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
        ),
        parameters=49_453_152,
        cost=1.9,
        drop_path=True,
        layers=12,
        depth_of="trainers.object_detection_api.pyramid.backbones.networks.convnext:depth",
    )
)
