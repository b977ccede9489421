"""Architecture: what the trainer, the input and the export must know of one meta-architecture of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from trainers.object_detection_api.detector import DetectorRecipe


class Architecture(Protocol):
    """One meta-architecture. `config` is a `model_pb2.DetectionModel`, `model` what the API builds of it."""

    @property
    def losses(self) -> Mapping[str, tuple[str, ...]]:
        """For each of our loss parts, the keys of the model's `loss` that are added up for it."""

    @property
    def batched_predictions(self) -> tuple[str, ...]:
        """The predictions that suppression needs and whose first dimension is the batch."""

    @property
    def other_predictions(self) -> tuple[str, ...]:
        """The predictions that suppression needs besides."""

    def configure(self, config: Any, recipe: DetectorRecipe) -> None:
        """Set in `config` what the recipe decides of the model: batch norm's decay, L2, the weights of the losses."""

    def num_classes(self, config: Any) -> int:
        """How many classes it detects."""

    def image_resizer(self, config: Any) -> Any:
        """Its `image_resizer_pb2.ImageResizer`."""

    def batch_norm_decay(self, config: Any) -> float:
        """Decay of batch normalisation's moving averages."""

    def l2(self, config: Any) -> float:
        """Weight of the L2 regulariser."""

    def normalised(self, model: Any, images: Any) -> Any:
        """(N, H, W, 3) float32 pixel values of 0..255 -> what the network takes, of the same size."""

    def suppression(self, model: Any) -> dict[str, float] | None:
        """How final detections follow from raw ones: `iou`, `score`, `of_class`, `in_all` (trainers.detection.export).

        None where it is not plain non-maximum suppression by class.
        """
