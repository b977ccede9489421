"""ResNet-101 V1, He et al. 2016 (arXiv 1512.03385), as in tf_keras.applications."""

from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.backbones.backbone import (
    CAFFE_MEAN,
    NO_SCALE,
    Backbone,
    PublishedFile,
)

BACKBONE = BACKBONES.register(
    Backbone(
        name="resnet101",
        title="ResNet-101 V1",
        network="trainers.object_detection_api.pyramid.backbones.networks.residual:resnet",
        settings={"blocks": (3, 4, 23, 3)},
        mean=CAFFE_MEAN,
        stddev=NO_SCALE,
        bgr=True,
        weights=PublishedFile(
            "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
            "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:88cf7a10940856eca736dc7b7e228a21",
        ),
        parameters=42_658_176,
        cost=1.8,
        depth_of="trainers.object_detection_api.pyramid.backbones.networks.residual:depth",
    )
)
