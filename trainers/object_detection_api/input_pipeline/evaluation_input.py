"""EvaluationInput: what evaluation reads of a dataset, with images that are not augmented."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from trainers.datasets.dataset import MOST_TRAINED_BOXES, Dataset, Part
from trainers.detection import truth
from trainers.keras_training.batch_norm.statistics import STATISTICS_IMAGES
from trainers.object_detection_api.detector import DetectorRecipe
from trainers.object_detection_api.input_pipeline import batches
from trainers.object_detection_api.input_pipeline.batch_cache import BatchCache
from trainers.object_detection_api.input_pipeline.batches import Batch
from trainers.recipe import graph_key


class EvaluationInput:
    """The validation images, what is true of them, and training images for batch normalisation's statistics.

    Batches are kept in memory if they fit. threads: number of input pipeline threads.

    In its methods: config is a `TrainEvalPipelineConfig` of the recipe; preprocess the model's own method.
    """

    def __init__(self, dataset: Dataset, threads: int) -> None:
        self._dataset = dataset
        self._threads = threads
        self._cache = BatchCache()

    @functools.cached_property
    def truths(self) -> list[truth.Truth]:
        """Of each validation image, in order."""
        return truth.read_truth(self._dataset.validation.files)

    @functools.cached_property
    def most_boxes(self) -> int:
        """Room for the boxes of any validation image, in whole hundreds."""
        most = max((len(each.classes) for each in self.truths), default=0)
        return max(1, -(-most // MOST_TRAINED_BOXES)) * MOST_TRAINED_BOXES

    def validation(
        self, recipe: DetectorRecipe, config: Any, preprocess: Callable[..., Any], images: int
    ) -> Iterable[Batch]:
        """Batches of `images` validation images, evenly spaced."""
        read = functools.partial(batches.validation_batches, most_boxes=self.most_boxes)
        return self._batches("validation", read, self._dataset.validation, recipe, config, preprocess, images)

    def for_statistics(
        self, recipe: DetectorRecipe, config: Any, preprocess: Callable[..., Any]
    ) -> Iterable[Batch]:
        """Batches of training images."""
        part = self._dataset.train
        return self._batches(
            "train", batches.clean_batches, part, recipe, config, preprocess, STATISTICS_IMAGES
        )

    def _batches(
        self, name: str, read: Callable[..., Iterable[Batch]], part: Part, recipe: DetectorRecipe, config: Any,
        preprocess: Callable[..., Any], images: int,
    ) -> Iterable[Batch]:  # fmt: skip
        return self._cache.get(
            (*graph_key(recipe.to_dict()), name, images),
            images,
            recipe.image_size,
            lambda: read(part, config, preprocess, recipe.batch_size, self._threads, images),
        )
