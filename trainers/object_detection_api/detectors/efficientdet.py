"""EfficientDet-D1: EfficientNet-B1 with a bidirectional pyramid, as published in the zoo (COCO mAP 38.4)."""

from __future__ import annotations

from string import Template

from trainers.model import Cost, register
from trainers.object_detection_api.detector import Detector

# the model section of the zoo's pipeline.config, with two placeholders
_MODEL = Template("""\
ssd {
  num_classes: $classes
  image_resizer {
    keep_aspect_ratio_resizer {
      min_dimension: $image_size
      max_dimension: $image_size
      pad_to_max_dimension: true
    }
  }
  feature_extractor {
    type: "ssd_efficientnet-b1_bifpn_keras"
    conv_hyperparams {
      regularizer {
        l2_regularizer {
          weight: 4e-05
        }
      }
      initializer {
        truncated_normal_initializer {
          mean: 0.0
          stddev: 0.03
        }
      }
      activation: SWISH
      batch_norm {
        decay: 0.99
        scale: true
        epsilon: 0.001
      }
      force_use_bias: true
    }
    bifpn {
      min_level: 3
      max_level: 7
      num_iterations: 4
      num_filters: 88
    }
  }
  box_coder {
    faster_rcnn_box_coder {
      y_scale: 1.0
      x_scale: 1.0
      height_scale: 1.0
      width_scale: 1.0
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
        activation: SWISH
        batch_norm {
          decay: 0.99
          scale: true
          epsilon: 0.001
        }
        force_use_bias: true
      }
      depth: 88
      num_layers_before_predictor: 3
      kernel_size: 3
      class_prediction_bias_init: -4.6
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
      scales_per_octave: 3
    }
  }
  post_processing {
    batch_non_max_suppression {
      score_threshold: 1e-08
      iou_threshold: 0.5
      max_detections_per_class: 100
      max_total_detections: 100
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
        gamma: 1.5
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
  add_background_class: false
}
""")


def proto(classes: int, image_size: int) -> str:
    """The published model for `classes` classes and square images of `image_size` px: a DetectionModel."""
    return _MODEL.substitute(classes=classes, image_size=image_size)


DETECTOR = register(
    Detector(
        name="efficientdet",
        title="EfficientDet-D1",
        min_image_size=256,
        image_size_multiple=128,
        proto=proto,
        zoo_archive="efficientdet_d1_coco17_tpu-32",
        zoo_variables=876,
        zoo_digest="58c46dd59bea64e49f723a6021e878f0ef9009693ffcbfab53dda4c09cf726c5",
        extractor_digest="2ab21bde5572ce60ec695274771b20ff2492ec4c12b0f348d85a7b0ddd7ae55e",
        presets={
            "zoo": {
                "image_size": 640,
                "batch_size": 128,
                "steps": 300_000,
                "optimizer": {"kind": "momentum", "momentum": 0.9},
                "schedule": {"kind": "cosine", "base": 0.08, "warmup_rate": 0.001, "warmup": 2500 / 300_000},
                "augmentations": [
                    {"name": "random_horizontal_flip"},
                    {
                        "name": "random_scale_crop_and_pad_to_square",
                        "options": {"output_size": 640, "scale_min": 0.1, "scale_max": 2.0},
                    },
                ],
                "weights": {"source": "zoo", "part": "detection"},
                "batch_norm_decay": 0.99,
            },
            "laptop": {
                "image_size": 256,
                "batch_size": 4,
                "steps": 240,
                "optimizer": {"kind": "adam"},
                "schedule": {"kind": "cosine", "base": 0.001, "warmup_rate": 0.0001, "warmup": 0.05},
                "augmentations": [],
                "weights": {"source": "none"},
                "batch_norm_decay": 0.9,
            },
        },
        # measured at 256 px; shared_part is a guess, between those of the other two
        cost=Cost(cpu_step_seconds=0.84, shared_part=0.6, parameters=8_393_075),
    )
)
