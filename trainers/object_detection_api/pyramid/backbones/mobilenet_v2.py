"""MobileNet V2, Sandler et al. 2018 (arXiv 1801.04381), as in tf_keras.applications; for laptops."""

from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.backbones.backbone import Backbone, PublishedFile

_HALF = (127.5, 127.5, 127.5)

BACKBONE = BACKBONES.register(
    Backbone(
        name="mobilenet_v2",
        title="MobileNet V2",
        network="trainers.object_detection_api.pyramid.backbones.networks.mobile:mobilenet_v2",
        mean=_HALF,
        stddev=_HALF,
        weights=PublishedFile(
            "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            "",
        ),
        parameters=2_257_984,
        cost=0.6,
        depth_of="trainers.object_detection_api.pyramid.backbones.networks.mobile:depth",
    )
)
