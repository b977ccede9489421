"""Faster R-CNN over ResNet50 and ResNet101, the two-stage detectors of the zoo (COCO mAP 29.3 and 31.8).

Their checkpoints' variables (`zoo_digest`) are those of the models that the API builds of its own configurations; the
archives themselves were not at hand.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from string import Template
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from trainers.model import Cost, register
from trainers.object_detection_api.detector import Detector, DetectorRecipe


class FasterRCNNRecipe(DetectorRecipe):
    """The recipe of a Faster R-CNN: DetectorRecipe, whose two loss weights are the second stage's, and these fields.

    anchor_size: side of the anchor of scale 1, pixels of the resized image; the others have .25, .5 and 2 times it.
    proposals: regions that the second stage looks at in an image.
    sampled_proposals: those of them that a training step looks at, a random sample with the objects among them.
    crop_size: side of what the second stage sees of a proposal, in pixels of the feature map (of stride 16), before
        pooling halves it.
    proposal_iou, detection_iou: of two boxes that overlap by more, non-maximum suppression keeps one; first and second
        stage.
    proposal_weight: factor of both losses of the first stage.
    flip_test: not for two stages, whose proposals in an image and in its mirror image are not the same.
    """

    added_later: ClassVar[Mapping[str, Any]] = {**DetectorRecipe.added_later, "crop_size": 14}

    anchor_size: int = Field(default=256, ge=16, le=1024)
    proposals: int = Field(default=300, ge=8, le=2000)
    sampled_proposals: int = Field(default=64, ge=4, le=512)
    crop_size: int = Field(default=14, ge=4, le=56, multiple_of=2)
    proposal_iou: float = Field(default=0.7, gt=0, lt=1)
    detection_iou: float = Field(default=0.6, gt=0, lt=1)
    proposal_weight: float = Field(default=1.0, gt=0, le=1000)
    flip_test: Literal[False] = False

    @model_validator(mode="after")
    def _samples_are_of_the_proposals(self) -> FasterRCNNRecipe:
        if self.sampled_proposals > self.proposals:
            raise ValueError(
                f"sampled_proposals: must be at most the {self.proposals} proposals, not {self.sampled_proposals}"
            )
        return self

    def with_published_losses(self) -> DetectorRecipe:
        """See DetectorRecipe."""
        found = super().with_published_losses().replace(proposal_weight=1.0)
        assert isinstance(found, DetectorRecipe)
        return found


# the model section of configs/tf2/faster_rcnn_resnet50_v1_640x640_coco17_tpu-8.config, with three placeholders
_MODEL = Template("""\
faster_rcnn {
  num_classes: $classes
  image_resizer {
    keep_aspect_ratio_resizer {
      min_dimension: $image_size
      max_dimension: $image_size
      pad_to_max_dimension: true
    }
  }
  feature_extractor {
    type: "faster_rcnn_resnet${layers}_keras"
    batch_norm_trainable: true
  }
  first_stage_anchor_generator {
    grid_anchor_generator {
      scales: 0.25
      scales: 0.5
      scales: 1.0
      scales: 2.0
      aspect_ratios: 0.5
      aspect_ratios: 1.0
      aspect_ratios: 2.0
      height_stride: 16
      width_stride: 16
    }
  }
  first_stage_box_predictor_conv_hyperparams {
    op: CONV
    regularizer {
      l2_regularizer {
        weight: 0.0
      }
    }
    initializer {
      truncated_normal_initializer {
        stddev: 0.01
      }
    }
  }
  first_stage_nms_score_threshold: 0.0
  first_stage_nms_iou_threshold: 0.7
  first_stage_max_proposals: 300
  first_stage_localization_loss_weight: 2.0
  first_stage_objectness_loss_weight: 1.0
  initial_crop_size: 14
  maxpool_kernel_size: 2
  maxpool_stride: 2
  second_stage_box_predictor {
    mask_rcnn_box_predictor {
      use_dropout: false
      dropout_keep_probability: 1.0
      fc_hyperparams {
        op: FC
        regularizer {
          l2_regularizer {
            weight: 0.0
          }
        }
        initializer {
          variance_scaling_initializer {
            factor: 1.0
            uniform: true
            mode: FAN_AVG
          }
        }
      }
      share_box_across_classes: true
    }
  }
  second_stage_post_processing {
    batch_non_max_suppression {
      score_threshold: 0.0
      iou_threshold: 0.6
      max_detections_per_class: 100
      max_total_detections: 300
    }
    score_converter: SOFTMAX
  }
  second_stage_localization_loss_weight: 2.0
  second_stage_classification_loss_weight: 1.0
  use_static_shapes: true
  use_matmul_crop_and_resize: true
  clip_anchors_to_image: true
  use_static_balanced_label_sampler: true
  use_matmul_gather_in_matcher: true
}
""")


def proto(layers: int, classes: int, image_size: int) -> str:
    """The published model over a ResNet of `layers` layers, for square images of `image_size` px: a DetectionModel."""
    return _MODEL.substitute(layers=layers, classes=classes, image_size=image_size)


_SHARED: dict[str, Any] = {
    "several_gpus": False,  # its second stage needs the objects while it predicts
    "min_image_size": 160,
    "image_size_multiple": 32,
    "recipe": FasterRCNNRecipe,
    "graph_fields": (
        "image_size", "batch_size", "batch_norm_decay", "precision", "anchor_size", "proposals",
        "sampled_proposals", "crop_size", "proposal_iou", "detection_iou", "freeze_batch_norm",
    ),
    "trained_with": ("batch_size", "batch_norm_decay", "precision", "freeze_batch_norm", "sampled_proposals"),
    "presets": {
        "zoo": {
            "image_size": 640,
            "batch_size": 64,
            "steps": 25_000,
            "optimizer": {"kind": "momentum", "momentum": 0.9},
            "schedule": {"kind": "cosine", "base": 0.04, "warmup_rate": 0.013333, "warmup": 2000 / 25_000},
            "augmentations": [{"name": "random_horizontal_flip"}],
            "weights": {"source": "zoo", "part": "detection"},
            "batch_norm_decay": 0.997,
        },
        "laptop": {
            "image_size": 160,
            "batch_size": 2,
            "steps": 720,
            "optimizer": {"kind": "adam"},
            "schedule": {"kind": "cosine", "base": 0.001, "warmup_rate": 0.0001, "warmup": 0.05},
            "augmentations": [],
            "weights": {"source": "none"},
            "batch_norm_decay": 0.9,
            "anchor_size": 64,
            "proposals": 48,
            "sampled_proposals": 16,
            "crop_size": 8,
            # from scratch, the first box encodings of the second stage are far off: with the published weights they
            # dominate the gradient (docs/benchmarks.md)
            "classification_weight": 0.5,
            "localization_weight": 0.2,
            "proposal_weight": 4.0,
        },
    },
}  # fmt: skip

RESNET_50 = register(
    Detector(
        name="faster_rcnn_50",
        title="Faster R-CNN (ResNet50 V1)",
        proto=functools.partial(proto, 50),
        zoo_archive="faster_rcnn_resnet50_v1_640x640_coco17_tpu-8",
        zoo_variables=276,
        zoo_digest="fba9ef2e1cacaaeb8f3a5767882267ab81d75eab34a4bf85682c8a714409e56c",
        extractor_digest="74931c1b95e0691db7f8ebb07dcd053fcac3c297138958c9586b5f5b9ee59974",
        # measured with batches of 2: .9 s per step on one core, while others were busy
        cost=Cost(cpu_step_seconds=3.6, shared_part=0.9, parameters=28_333_584),
        **_SHARED,
    )
)
RESNET_101 = register(
    Detector(
        name="faster_rcnn_101",
        title="Faster R-CNN (ResNet101 V1)",
        proto=functools.partial(proto, 101),
        zoo_archive="faster_rcnn_resnet101_v1_640x640_coco17_tpu-8",
        zoo_variables=531,
        zoo_digest="2dfac56049692aaf729cde3a5eb954a49fd4d568964f015d82ad2a7e5dd63e34",
        extractor_digest="f8f66ccafe3f22c1e546b925004aeb08c428e29869598f1baf10360f58399f06",
        # not measured: twice the smaller one's
        cost=Cost(cpu_step_seconds=7.2, shared_part=0.9, parameters=47_377_936),
        **_SHARED,
    )
)
