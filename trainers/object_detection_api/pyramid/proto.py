"""The `DetectionModel` proto of a structure, whose text is the type of its feature extractor."""

from __future__ import annotations

from string import Template

from trainers.object_detection_api.pyramid.structure import Structure

# anchors, matching and head: Lin et al. 2017 (arXiv 1708.02002), section 4; normalised by batches as in the zoo
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
    type: "$structure"
    conv_hyperparams {
      regularizer { l2_regularizer { weight: 0.0004 } }
      initializer { truncated_normal_initializer { mean: 0.0 stddev: 0.03 } }
      activation: RELU_6
      batch_norm { decay: 0.997 scale: true epsilon: 0.001 }
    }
  }
  box_coder {
    faster_rcnn_box_coder { y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 }
  }
  matcher {
    argmax_matcher {
      matched_threshold: 0.5
      unmatched_threshold: 0.4
      ignore_thresholds: false
      negatives_lower_than_unmatched: true
      force_match_for_each_row: true
      use_matmul_gather: true
    }
  }
  similarity_calculator { iou_similarity { } }
  box_predictor {
    weight_shared_convolutional_box_predictor {
      conv_hyperparams {
        regularizer { l2_regularizer { weight: 0.0004 } }
        initializer { random_normal_initializer { mean: 0.0 stddev: 0.01 } }
        activation: RELU_6
        batch_norm { decay: 0.997 scale: true epsilon: 0.001 }
      }
      depth: $channels
      num_layers_before_predictor: 4
      kernel_size: 3
      class_prediction_bias_init: -4.6
    }
  }
  anchor_generator {
    multiscale_anchor_generator {
      min_level: 3
      max_level: $max_level
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
      iou_threshold: 0.6
      max_detections_per_class: 100
      max_total_detections: 100
      use_static_shapes: false
    }
    score_converter: SIGMOID
  }
  normalize_loss_by_num_matches: true
  loss {
    localization_loss { weighted_smooth_l1 { } }
    classification_loss { weighted_sigmoid_focal { gamma: 2.0 alpha: 0.25 } }
    classification_weight: 1.0
    localization_weight: 1.0
  }
  encode_background_as_zeros: true
  normalize_loc_loss_by_codesize: true
  inplace_batchnorm_update: true
  freeze_batchnorm: false
}
""")


def proto(structure: Structure, classes: int, image_size: int) -> str:
    """The model for `classes` classes and images padded to squares of `image_size` px: a DetectionModel."""
    return _MODEL.substitute(
        classes=classes,
        image_size=image_size,
        structure=structure.text,
        channels=structure.channels,
        max_level=2 + structure.levels,
    )
