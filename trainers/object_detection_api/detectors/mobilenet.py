"""SSD MobileNet V2 FPNLite, the fastest detector, as published in the zoo (COCO mAP 28.2)."""

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
    type: "ssd_mobilenet_v2_fpn_keras"
    depth_multiplier: 1.0
    min_depth: 16
    conv_hyperparams {
      regularizer {
        l2_regularizer {
          weight: 4e-05
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
    use_depthwise: true
    override_base_feature_extractor_hyperparams: true
    fpn {
      min_level: 3
      max_level: 7
      additional_layer_depth: 128
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
            weight: 4e-05
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
      depth: 128
      num_layers_before_predictor: 4
      kernel_size: 3
      class_prediction_bias_init: -4.6
      share_prediction_tower: true
      use_depthwise: true
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
        name="mobilenet",
        title="SSD MobileNet V2 FPNLite",
        min_image_size=160,
        image_size_multiple=32,
        proto=proto,
        zoo_archive="ssd_mobilenet_v2_fpnlite_640x640_coco17_tpu-8",
        zoo_variables=385,
        zoo_digest="81ab040c40b741a96fb36804fbb6ff698b1c9b067c633004937929aa7f80c703",
        extractor_digest="92d3d12403122e194d20f9f6f61336f723e3524e2b15036d5f4d38f8bfeb7b51",
        presets={
            "zoo": {
                "image_size": 640,
                "batch_size": 128,
                "steps": 50_000,
                "optimizer": {"kind": "momentum", "momentum": 0.9},
                "schedule": {
                    "kind": "cosine",
                    "base": 0.08,
                    "warmup_rate": 0.026666,
                    "warmup": 1000 / 50_000,
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
                "batch_size": 8,
                "steps": 240,
                "optimizer": {"kind": "adam"},
                "schedule": {"kind": "cosine", "base": 0.001, "warmup_rate": 0.0001, "warmup": 0.05},
                "augmentations": [],
                "weights": {"source": "none"},
                "batch_norm_decay": 0.9,
            },
        },
        # shared_part is from tests/benchmarks/training/threads.py
        cost=Cost(cpu_step_seconds=0.39, shared_part=0.5, parameters=2_667_003),
    )
)
