"""RetinaNet50: SSD over ResNet50 V1 and a feature pyramid, as published in the zoo (COCO mAP 34.3)."""

from __future__ import annotations

from string import Template

from trainers.model import Cost, register
from trainers.object_detection_api.detector import Detector

# the model section of the zoo's pipeline.config, with two placeholders
_MODEL = Template("""\
ssd {
  num_classes: $classes
  image_resizer {
    fixed_shape_resizer {
      height: $image_size
      width: $image_size
    }
  }
  feature_extractor {
    type: "ssd_resnet50_v1_fpn_keras"
    depth_multiplier: 1.0
    min_depth: 16
    conv_hyperparams {
      regularizer {
        l2_regularizer {
          weight: 0.0004
        }
      }
      initializer {
        truncated_normal_initializer {
          mean: 0.0
          stddev: 0.03
        }
      }
      activation: RELU_6
      batch_norm {
        decay: 0.997
        scale: true
        epsilon: 0.001
      }
    }
    override_base_feature_extractor_hyperparams: true
    fpn {
      min_level: 3
      max_level: 7
    }
  }
  box_coder {
    faster_rcnn_box_coder {
      y_scale: 10.0
      x_scale: 10.0
      height_scale: 5.0
      width_scale: 5.0
    }
  }
  matcher {
    argmax_matcher {
      matched_threshold: 0.5
      unmatched_threshold: 0.5
      ignore_thresholds: false
      negatives_lower_than_unmatched: true
      force_match_for_each_row: true
      use_matmul_gather: true
    }
  }
  similarity_calculator {
    iou_similarity {
    }
  }
  box_predictor {
    weight_shared_convolutional_box_predictor {
      conv_hyperparams {
        regularizer {
          l2_regularizer {
            weight: 0.0004
          }
        }
        initializer {
          random_normal_initializer {
            mean: 0.0
            stddev: 0.01
          }
        }
        activation: RELU_6
        batch_norm {
          decay: 0.997
          scale: true
          epsilon: 0.001
        }
      }
      depth: 256
      num_layers_before_predictor: 4
      kernel_size: 3
      class_prediction_bias_init: -4.6
    }
  }
  anchor_generator {
    multiscale_anchor_generator {
      min_level: 3
      max_level: 7
      anchor_scale: 4.0
      aspect_ratios: 1.0
      aspect_ratios: 2.0
      aspect_ratios: 0.5
      scales_per_octave: 2
    }
  }
  post_processing {
    batch_non_max_suppression {
      score_threshold: 1e-08
      iou_threshold: 0.6
      max_detections_per_class: 100
      max_total_detections: 100
      use_static_shapes: false
    }
    score_converter: SIGMOID
  }
  normalize_loss_by_num_matches: true
  loss {
    localization_loss {
      weighted_smooth_l1 {
      }
    }
    classification_loss {
      weighted_sigmoid_focal {
        gamma: 2.0
        alpha: 0.25
      }
    }
    classification_weight: 1.0
    localization_weight: 1.0
  }
  encode_background_as_zeros: true
  normalize_loc_loss_by_codesize: true
  inplace_batchnorm_update: true
  freeze_batchnorm: false
}
""")


def proto(classes: int, image_size: int) -> str:
    """The published model for `classes` classes and square images of `image_size` px: a DetectionModel."""
    return _MODEL.substitute(classes=classes, image_size=image_size)


DETECTOR = register(
    Detector(
        name="retinanet",
        title="RetinaNet50 (SSD ResNet50 V1 FPN)",
        min_image_size=160,
        image_size_multiple=32,
        proto=proto,
        zoo_archive="ssd_resnet50_v1_fpn_640x640_coco17_tpu-8",
        zoo_variables=464,
        zoo_digest="ecac21bd014c92ad764010ac31d710d49bb82fc069ee4105d318731a193eaeed",
        extractor_digest="ae395ad3ed7e7663e686d00bff792bdd28441c27a8a7ec382d285bf950401f72",
        presets={
            "zoo": {
                "image_size": 640,
                "batch_size": 64,
                "steps": 25_000,
                "optimizer": {"kind": "momentum", "momentum": 0.9},
                "schedule": {
                    "kind": "cosine",
                    "base": 0.04,
                    "warmup_rate": 0.013333,
                    "warmup": 2000 / 25_000,
                },
                "augmentations": [
                    {"name": "random_horizontal_flip"},
                    {
                        "name": "random_crop_image",
                        "options": {
                            "min_object_covered": 0.0,
                            "min_aspect_ratio": 0.75,
                            "max_aspect_ratio": 3.0,
                            "min_area": 0.75,
                            "max_area": 1.0,
                            "overlap_thresh": 0.0,
                        },
                    },
                ],
                "weights": {"source": "zoo", "part": "detection"},
                "batch_norm_decay": 0.997,
            },
            "laptop": {
                "image_size": 160,
                "batch_size": 2,
                "steps": 360,
                "optimizer": {"kind": "adam"},
                "schedule": {"kind": "cosine", "base": 0.0006, "warmup_rate": 6e-05, "warmup": 0.05},
                "augmentations": [],
                "weights": {"source": "none"},
                "batch_norm_decay": 0.9,
                "l2": 1e-05,
            },
        },
        # measured with batches of 2: .93 s per step on one core, .49 s on two
        cost=Cost(cpu_step_seconds=3.8, shared_part=0.95, parameters=32_916_219),
    )
)
