"""SSD: the adapter of the API's one-stage detectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from trainers.object_detection_api.architectures.plain import plain
from trainers.object_detection_api.architectures.suppression import settings_of
from trainers.object_detection_api.architectures.usual import Usual

if TYPE_CHECKING:
    from trainers.object_detection_api.detector import DetectorRecipe


class SSD(Usual):
    """The adapter for `DetectionModel.ssd`."""

    losses: Mapping[str, tuple[str, ...]] = {
        "classification": ("Loss/classification_loss",),
        "localization": ("Loss/localization_loss",),
    }
    mean_over_images = False  # of its objects' anchors
    batched_predictions = ("preprocessed_inputs", "box_encodings", "class_predictions_with_background")
    other_predictions = ("anchors",)

    def configure(self, config: Any, recipe: DetectorRecipe) -> None:
        """Set the recipe's batch normalisation, L2 weight and loss weights in `config`."""
        predictor = config.ssd.box_predictor.weight_shared_convolutional_box_predictor
        for layers in (config.ssd.feature_extractor.conv_hyperparams, predictor.conv_hyperparams):
            layers.batch_norm.decay = recipe.batch_norm_decay
            if recipe.l2 is not None:
                layers.regularizer.l2_regularizer.weight = recipe.l2
        if recipe.freeze_batch_norm:
            config.ssd.freeze_batchnorm = True
        config.ssd.loss.classification_weight = recipe.classification_weight
        config.ssd.loss.localization_weight = recipe.localization_weight

    def recipe_fields(self, config: Any, published: Any) -> dict[str, Any]:
        """Batch normalisation as the feature extractor has it, and the two loss weights."""
        loss = config.ssd.loss
        return {
            "freeze_batch_norm": config.ssd.freeze_batchnorm,
            "batch_norm_decay": plain(config.ssd.feature_extractor.conv_hyperparams.batch_norm.decay),
            "classification_weight": plain(loss.classification_weight),
            "localization_weight": plain(loss.localization_weight),
        }

    def loss_weights(self, recipe: DetectorRecipe) -> dict[str, float]:
        """The recipe's factors of the loss parts."""
        return {
            "classification": recipe.classification_weight,
            "localization": recipe.localization_weight,
        }

    def num_classes(self, config: Any) -> int:
        """Number of classes."""
        return int(config.ssd.num_classes)

    def image_resizer(self, config: Any) -> Any:
        """Its `image_resizer_pb2.ImageResizer`."""
        return config.ssd.image_resizer

    def l2(self, config: Any) -> float:
        """Weight of the L2 regulariser."""
        return float(config.ssd.feature_extractor.conv_hyperparams.regularizer.l2_regularizer.weight)

    def regularized(self, model: Any) -> Iterable[Any]:
        """All layers: a backbone that sets its own L2 weight has another one."""
        return model.submodules  # type: ignore[no-any-return]

    def normalised(self, model: Any, images: Any) -> Any:
        """Images (N, H, W, 3) float32 in 0..255 -> normalised input of the network."""
        return model._feature_extractor.preprocess(images)

    def all_but_classes(self, model: Any) -> Mapping[str, Any]:
        """Feature extractor, towers and box head: what the API's tutorial of few-shot training restores, too."""
        import tensorflow as tf

        predictor = model._box_predictor
        heads = tf.train.Checkpoint(
            _base_tower_layers_for_heads=predictor._base_tower_layers_for_heads,
            _head_scope_conv_layers=predictor._head_scope_conv_layers,
            _box_prediction_head=predictor._box_prediction_head,
        )
        return {
            "model": tf.train.Checkpoint(_feature_extractor=model._feature_extractor, _box_predictor=heads)
        }

    def class_layers(self, model: Any) -> Mapping[str, Any]:
        """The one convolution at the end of the class tower."""
        head = "class_predictions_with_background"
        layers = model._box_predictor._prediction_heads[head]._class_predictor_layers
        return {f"model/_box_predictor/_prediction_heads/{head}/_class_predictor_layers/0": layers[0]}

    def background_outputs(self, model: Any) -> int:
        """One, unless the configuration has add_background_class: false."""
        return int(model._add_background_class)

    def mode(self, model: Any, training: bool) -> AbstractContextManager[None]:
        """Nothing: it predicts the same in training and inference, but for Keras' learning phase."""
        return nullcontext()

    def postprocess(
        self, model: Any, predictions: Mapping[str, Any], true_image_shapes: Any, size: int
    ) -> Any:
        """The model's `postprocess`, with the boxes left by suppression normalised to the padded input.

        The API normalises them to the image without its padding; the raw ones are as the network has them.
        """
        from trainers.object_detection_api.architectures.frames import to_padded_input

        found = dict(model.postprocess(predictions, true_image_shapes))
        found["detection_boxes"] = to_padded_input(found["detection_boxes"], true_image_shapes, size)
        return found

    def mean_with_mirrored(self, plain: Mapping[str, Any], mirrored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Box encodings and logits of classes, anchor by anchor."""
        from trainers.object_detection_api.architectures.mirroring import mean_with_mirrored

        grids = [(int(each.shape[1]), int(each.shape[2])) for each in plain["feature_maps"]]
        return {
            name: mean_with_mirrored(
                plain[name], mirrored[name], plain["anchors"], grids, boxes=name == "box_encodings"
            )
            for name in ("box_encodings", "class_predictions_with_background")
        }

    def feature_maps(self, predictions: Mapping[str, Any]) -> Sequence[Any]:
        """See Architecture."""
        return predictions["feature_maps"]  # type: ignore[no-any-return]

    def suppression(self, model: Any) -> dict[str, float] | None:
        """Settings of non-maximum suppression; None if it is not plain suppression per class."""
        return settings_of(model._non_max_suppression_fn)
