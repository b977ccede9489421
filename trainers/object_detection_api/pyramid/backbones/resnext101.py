"""ResNeXt-101 32x4d, Xie et al. 2017 (arXiv 1611.05431): 32 groups in each 3x3 convolution."""

from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.backbones.backbone import Backbone, PublishedFile

BACKBONE = BACKBONES.register(
    Backbone(
        name="resnext101",
        title="ResNeXt-101 32x4d",
        network="trainers.object_detection_api.pyramid.backbones.networks.residual:resnet",
        settings={"blocks": (3, 4, 23, 3), "groups": 32},
        weights=PublishedFile(
            "https://github.com/keras-team/keras-applications/releases/download/resnet/"
            "resnext101_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:0f678c91647380debd923963594981b3",
        ),
        parameters=42_266_560,
        cost=1.7,
        depth_of="trainers.object_detection_api.pyramid.backbones.networks.residual:depth",
    )
)
