"""ResNet-50 V1, He et al. 2016 (arXiv 1512.03385), as in tf_keras.applications."""

from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.backbones.backbone import (
    CAFFE_MEAN,
    NO_SCALE,
    Backbone,
    PublishedFile,
)

BACKBONE = BACKBONES.register(
    Backbone(
        name="resnet50",
        title="ResNet-50 V1",
        network="trainers.object_detection_api.pyramid.backbones.networks.residual:resnet",
        settings={"blocks": (3, 4, 6, 3)},
        mean=CAFFE_MEAN,
        stddev=NO_SCALE,
        bgr=True,
        weights=PublishedFile(
            "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:4d473c1dd8becc155b73f8504c6f6626",
        ),
        parameters=23_587_712,
        cost=1.0,
        depth_of="trainers.object_detection_api.pyramid.backbones.networks.residual:depth",
    )
)
