"""Architecture: the adapter interface for a meta-architecture of the API, used by trainer, input pipeline and export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol


class Architecture(Protocol):
    """The adapter of one meta-architecture. config: a `model_pb2.DetectionModel`. model: what the API builds from it."""

    @property
    def losses(self) -> Mapping[str, tuple[str, ...]]:
        """Loss part ("classification", "localization", ...) -> keys of the result of the model's `loss`, to be added."""

    @property
    def mean_over_images(self) -> bool:
        """Whether a loss is the mean over all images of a batch, also those that only fill it up (`real` is false)."""

    @property
    def batched_predictions(self) -> tuple[str, ...]:
        """Keys of the predictions that `postprocess` needs and whose first dimension grows with the batch."""

    @property
    def other_predictions(self) -> tuple[str, ...]:
        """Keys of the other predictions that `postprocess` needs."""

    def build(self, config: Any) -> Any:
        """What the API builds from `config`, in training mode: its DetectionModel. Its variables need not exist yet."""

    def load_backbone(self, model: Any, file: Path) -> None:
        """Set the backbone's variables from an HDF5 file of tf_keras. Raises UserError if it is of another one."""

    def backbone(self, model: Any) -> Iterable[Any]:
        """The variables of the backbone, which is all that was trained to classify images."""

    def rate_factors(self, model: Any, variables: Sequence[Any], recipe: Any, step: int) -> list[float]:
        """Factors of the learning rate of these variables from step number `step` (from 0) on."""

    def train_sizes(self, recipe: Any) -> Sequence[int]:
        """The sides, in pixels, of the square images of training steps; each has a graph of its own."""

    def begin_step(self, model: Any, recipe: Any, step: int) -> int:
        """Set what the model draws at random in step number `step` (from 0). Returns one of `train_sizes`."""

    def configure(self, config: Any, recipe: Any) -> None:
        """Set in `config` what the recipe says of it. recipe: of the class of the model's recipes."""

    def recipe_fields(self, config: Any, published: Any) -> dict[str, Any]:
        """The inverse of `configure`: recipe field -> value, without `l2`. published: the model's own `config`."""

    def loss_weights(self, recipe: Any) -> dict[str, float]:
        """Loss part -> the recipe's factor of it, on top of the published weight."""

    def num_classes(self, config: Any) -> int:
        """Number of classes."""

    def image_resizer(self, config: Any) -> Any:
        """Its `image_resizer_pb2.ImageResizer`."""

    def l2(self, config: Any) -> float:
        """Weight of the L2 regulariser."""

    def regularized(self, model: Any) -> Iterable[Any]:
        """The layers among which are those that have the configuration's L2 weight."""

    def normalised(self, model: Any, images: Any) -> Any:
        """Images (N, H, W, 3) float32 in 0..255 -> normalised input of the network, of the same shape."""

    def all_but_classes(self, model: Any) -> Mapping[str, Any]:
        """What to restore from a checkpoint of a detector of other classes: tf.train.Checkpoint's arguments."""

    def class_layers(self, model: Any) -> Mapping[str, Any]:
        """The Keras layers whose outputs are scores of classes, by name in a checkpoint; see class_rows.take_over.

        Empty if they are not of that form.
        """

    def background_outputs(self, model: Any) -> int:
        """How many outputs of an anchor in these layers, before those of the classes, are the background's: 0 or 1."""

    def mode(self, model: Any, training: bool) -> AbstractContextManager[None]:
        """A context in which `model` predicts as in training, which needs the ground truth, or as in inference."""

    def postprocess(
        self, model: Any, predictions: Mapping[str, Any], true_image_shapes: Any, size: int
    ) -> Any:
        """The detections of `model.postprocess`, their boxes normalised to the padded input of `size` x `size` px."""

    def mean_with_mirrored(self, plain: Mapping[str, Any], mirrored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Box encodings and logits, averaged with those of the mirror images (flip_test), by key of the predictions."""

    def feature_maps(self, predictions: Mapping[str, Any]) -> Sequence[Any]:
        """The feature maps of the whole image, (B, h, w, channels) each, that the predictions are made from."""

    def suppression(self, model: Any) -> dict[str, float] | None:
        """Settings of non-maximum suppression: `iou`, `score`, `of_class`, `in_all` (trainers.detection.export).

        None if it is not plain non-maximum suppression per class.
        """
