"""ConvNeXt-Tiny, Liu et al. 2022 (arXiv 2201.03545), with the variables of tf_keras.applications."""

from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.backbones.backbone import Backbone, PublishedFile

BACKBONE = BACKBONES.register(
    Backbone(
        name="convnext_tiny",
        title="ConvNeXt-Tiny",
        network="trainers.object_detection_api.pyramid.backbones.networks.convnext:convnext",
        settings={"blocks": (3, 3, 9, 3), "widths": (96, 192, 384, 768)},
        weights=PublishedFile(
            "https://storage.googleapis.com/tensorflow/keras-applications/convnext/convnext_tiny_notop.h5",
            "sha256:d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        ),
        parameters=27_818_592,
        cost=1.3,
        drop_path=True,
        layers=6,
        depth_of="trainers.object_detection_api.pyramid.backbones.networks.convnext:depth",
    )
)
