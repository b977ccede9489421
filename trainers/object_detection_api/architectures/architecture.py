"""Architecture: the adapter interface for a meta-architecture of the API, used by trainer, input pipeline and export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from trainers.object_detection_api.detector import DetectorRecipe


class Architecture(Protocol):
    """The adapter of one meta-architecture. config: a `model_pb2.DetectionModel`. model: what the API builds from it."""

    @property
    def losses(self) -> Mapping[str, tuple[str, ...]]:
        """Loss part ("classification", "localization") -> keys of the result of the model's `loss`, which are added."""

    @property
    def batched_predictions(self) -> tuple[str, ...]:
        """Keys of the predictions that `postprocess` needs and whose first dimension is the batch."""

    @property
    def other_predictions(self) -> tuple[str, ...]:
        """Keys of the other predictions that `postprocess` needs."""

    def configure(self, config: Any, recipe: DetectorRecipe) -> None:
        """Set the recipe's batch normalisation decay, L2 weight and loss weights in `config`."""

    def num_classes(self, config: Any) -> int:
        """Number of classes."""

    def image_resizer(self, config: Any) -> Any:
        """Its `image_resizer_pb2.ImageResizer`."""

    def batch_norm_decay(self, config: Any) -> float:
        """Decay of batch normalisation's moving averages."""

    def l2(self, config: Any) -> float:
        """Weight of the L2 regulariser."""

    def normalised(self, model: Any, images: Any) -> Any:
        """Images (N, H, W, 3) float32 in 0..255 -> normalised input of the network, of the same shape."""

    def all_but_classes(self, model: Any) -> Mapping[str, Any]:
        """What to restore from a checkpoint of a detector of other classes: tf.train.Checkpoint's arguments."""

    def class_layers(self, model: Any) -> Mapping[str, Any]:
        """The Keras layers whose outputs are scores of classes, by name in a checkpoint; see class_rows.take_over.

        Empty if they are not of that form.
        """

    def suppression(self, model: Any) -> dict[str, float] | None:
        """Settings of non-maximum suppression: `iou`, `score`, `of_class`, `in_all` (trainers.detection.export).

        None if it is not plain non-maximum suppression per class.
        """
