"""Graphs: those that the trainers of a process have built, by what they were built of."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.keras_training.graph_cache import GraphCache
from trainers.object_detection_api import pipeline_config
from trainers.object_detection_api.detector import DetectorRecipe
from trainers.object_detection_api.graph import Graph
from trainers.recipe import graph_key


class Graphs(GraphCache[Graph]):
    """A GraphCache for trainers of one process: a fold, or more labels, is another dataset for the same graph."""

    def of(
        self, recipe: DetectorRecipe, classes: int, most_boxes: int, xla: bool, devices: Sequence[str] = ()
    ) -> Graph:
        """The graph of a recipe for so many classes. most_boxes, xla, devices: as in Graph."""

        def build() -> Graph:
            model = pipeline_config.model_proto(recipe.with_published_losses(), classes)
            return Graph(
                model, recipe.image_size, recipe.batch_size, recipe.precision, recipe.batch_norm_decay,
                xla, most_boxes, recipe.flip_test, devices,
            )  # fmt: skip

        return self.get((graph_key(recipe.to_dict()), classes, most_boxes, xla, tuple(devices)), build)
