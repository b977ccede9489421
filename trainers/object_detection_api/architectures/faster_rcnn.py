"""FasterRCNN: the adapter of the API's two-stage detectors (Ren et al. 2015, arXiv 1506.01497)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainers.object_detection_api.architectures.plain import plain
from trainers.object_detection_api.architectures.suppression import settings_of
from trainers.object_detection_api.architectures.usual import Usual

if TYPE_CHECKING:
    from trainers.object_detection_api.detectors.faster_rcnn import FasterRCNNRecipe

_CLASS_FREE = (
    "_feature_extractor_for_proposal_features", "_feature_extractor_for_box_classifier_features",
    "_first_stage_box_predictor_first_conv", "_first_stage_box_predictor",
)  # fmt: skip


class FasterRCNN(Usual):
    """The adapter for `DetectionModel.faster_rcnn`.

    The first stage proposes regions, the second classifies them and refines their boxes. In training, the second stage
    sees a random sample of the proposals, balanced by the ground truth; in inference, all of them.
    """

    losses: Mapping[str, tuple[str, ...]] = {
        "objectness": ("Loss/RPNLoss/objectness_loss",),
        "proposal_localization": ("Loss/RPNLoss/localization_loss",),
        "classification": ("Loss/BoxClassifierLoss/classification_loss",),
        "localization": ("Loss/BoxClassifierLoss/localization_loss",),
    }
    mean_over_images = True
    # of the first three, the first dimension is the number of images, or of all their proposals
    batched_predictions = (
        "refined_box_encodings", "class_predictions_with_background", "proposal_boxes", "num_proposals",
    )  # fmt: skip
    other_predictions = ()

    def configure(self, config: Any, recipe: FasterRCNNRecipe) -> None:
        """Set what the recipe says of proposals, suppression, anchors, normalisation, L2 and losses in `config`."""
        model = config.faster_rcnn
        first = model.first_stage_box_predictor_conv_hyperparams
        second = model.second_stage_box_predictor.mask_rcnn_box_predictor.fc_hyperparams
        if recipe.freeze_batch_norm:
            model.feature_extractor.batch_norm_trainable = False
        for layers in (first, second):
            if recipe.l2 is not None:
                layers.regularizer.l2_regularizer.weight = recipe.l2
        anchors = model.first_stage_anchor_generator.grid_anchor_generator
        for message, field, value in (
            (anchors, "height", recipe.anchor_size),
            (anchors, "width", recipe.anchor_size),
            (model, "first_stage_max_proposals", recipe.proposals),
            (model, "second_stage_batch_size", recipe.sampled_proposals),
            (model, "initial_crop_size", recipe.crop_size),
            (model, "first_stage_nms_iou_threshold", recipe.proposal_iou),
            (
                model.second_stage_post_processing.batch_non_max_suppression,
                "iou_threshold",
                recipe.detection_iou,
            ),
        ):
            if getattr(message, field) != value:  # what is the default stays unset, as published
                setattr(message, field, value)
        model.first_stage_objectness_loss_weight *= recipe.proposal_weight
        model.first_stage_localization_loss_weight *= recipe.proposal_weight
        model.second_stage_classification_loss_weight *= recipe.classification_weight
        model.second_stage_localization_loss_weight *= recipe.localization_weight

    def recipe_fields(self, config: Any, published: Any) -> dict[str, Any]:
        """Proposals, suppression and anchors, and the loss weights relative to the published ones."""
        model, usual = config.faster_rcnn, published.faster_rcnn
        weights = {
            "proposal_weight": "first_stage_objectness_loss_weight",
            "classification_weight": "second_stage_classification_loss_weight",
            "localization_weight": "second_stage_localization_loss_weight",
        }
        return {
            "freeze_batch_norm": not model.feature_extractor.batch_norm_trainable,
            "anchor_size": model.first_stage_anchor_generator.grid_anchor_generator.height,
            "proposals": model.first_stage_max_proposals,
            "sampled_proposals": model.second_stage_batch_size,
            "crop_size": model.initial_crop_size,
            "proposal_iou": plain(model.first_stage_nms_iou_threshold),
            "detection_iou": plain(
                model.second_stage_post_processing.batch_non_max_suppression.iou_threshold
            ),
            **{field: plain(getattr(model, name) / getattr(usual, name)) for field, name in weights.items()},
        }

    def loss_weights(self, recipe: FasterRCNNRecipe) -> dict[str, float]:
        """The factors of the loss parts, on top of the published weights."""
        return {
            "objectness": recipe.proposal_weight,
            "proposal_localization": recipe.proposal_weight,
            "classification": recipe.classification_weight,
            "localization": recipe.localization_weight,
        }

    def backbone(self, model: Any) -> Iterable[Any]:
        """Both parts of the ResNet: before the proposals, and after them."""
        for part in (
            model._feature_extractor_for_proposal_features,
            model._feature_extractor_for_box_classifier_features,
        ):
            yield from part.variables

    def num_classes(self, config: Any) -> int:
        """Number of classes."""
        return int(config.faster_rcnn.num_classes)

    def image_resizer(self, config: Any) -> Any:
        """Its `image_resizer_pb2.ImageResizer`."""
        return config.faster_rcnn.image_resizer

    def l2(self, config: Any) -> float:
        """Weight of the L2 regulariser."""
        layers = config.faster_rcnn.first_stage_box_predictor_conv_hyperparams
        return float(layers.regularizer.l2_regularizer.weight)

    def regularized(self, model: Any) -> Iterable[Any]:
        """The layers of both box predictors; the API gives the backbone no regulariser that could be configured."""
        for part in (
            model._first_stage_box_predictor_first_conv,
            model._first_stage_box_predictor,
            model._mask_rcnn_box_predictor,
        ):
            yield from part.submodules

    def normalised(self, model: Any, images: Any) -> Any:
        """Images (N, H, W, 3) float32 in 0..255 -> normalised input of the network."""
        return model._feature_extractor.preprocess(images)

    def all_but_classes(self, model: Any) -> Mapping[str, Any]:
        """Both halves of the backbone, the first stage, and the box head of the second."""
        import tensorflow as tf

        parts = {name: getattr(model, name) for name in _CLASS_FREE}
        boxes = tf.train.Checkpoint(_box_prediction_head=model._mask_rcnn_box_predictor._box_prediction_head)
        return {"model": tf.train.Checkpoint(_mask_rcnn_box_predictor=boxes, **parts)}

    def class_layers(self, model: Any) -> Mapping[str, Any]:
        """The one dense layer at the end of the second stage's class head."""
        head = "_mask_rcnn_box_predictor/_class_prediction_head/_class_predictor_layers"
        layers = model._mask_rcnn_box_predictor._class_prediction_head._class_predictor_layers
        last = len(layers) - 1
        return {f"model/{head}/{last}": layers[last]}

    @contextmanager
    def mode(self, model: Any, training: bool) -> Iterator[None]:
        """A context in which the second stage sees sampled proposals (training) or all of them."""
        before = model._is_training
        model._is_training = training
        try:
            yield
        finally:
            model._is_training = before

    def postprocess(
        self, model: Any, predictions: Mapping[str, Any], true_image_shapes: Any, size: int
    ) -> Any:
        """The model's `postprocess`, with boxes normalised to the padded input, and 0 for the raw scores of padding.

        The API normalises the boxes of this architecture to the image without its padding, and pads the proposals to
        their largest number.
        """
        import tensorflow as tf

        from trainers.object_detection_api.architectures.frames import to_padded_input

        found = dict(model.postprocess(predictions, true_image_shapes))
        for name in ("detection_boxes", "raw_detection_boxes"):
            found[name] = to_padded_input(found[name], true_image_shapes, size)
        real = tf.sequence_mask(predictions["num_proposals"], model.max_num_proposals, tf.float32)
        found["raw_detection_scores"] *= real[:, :, tf.newaxis]
        return found

    def mean_with_mirrored(self, plain: Mapping[str, Any], mirrored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Never asked for: its recipes have no flip_test."""
        raise NotImplementedError("the proposals in an image and in its mirror image are not the same")

    def feature_maps(self, predictions: Mapping[str, Any]) -> Sequence[Any]:
        """See Architecture."""
        return predictions["rpn_features_to_crop"]  # type: ignore[no-any-return]

    def suppression(self, model: Any) -> dict[str, float] | None:
        """Settings of the second stage's suppression; None if it is not plain suppression per class."""
        return settings_of(model._second_stage_nms_fn)
