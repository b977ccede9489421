"""Shadow: during a canary phase, some images of each job go through both models, whichever of them answers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np

from serve.deployment.evidence import Evidence, evenly
from serve.deployment.rollout import State
from serve.exports.loaded_models import LoadedModels, Model

PER_UNIT = 32  # images of a job that go through both models: more of one video would say little more


class Shadow:
    """Sends images of one unit to the other model as well, and counts how much both find (ServedTask.compared).

    images: how many images the unit has; 0 if unknown.
    """

    def __init__(
        self, evidence: Evidence, candidate: str, unit: str, answering: Model, other: Model, images: int
    ) -> None:
        self._evidence, self._candidate, self._unit = evidence, candidate, unit
        self._answering, self._other = answering, other
        self._step = evenly(images, PER_UNIT)
        self._seen = 0

    def __call__(self, image: np.ndarray, answer: Future[Any]) -> None:
        """image: (H, W, 3) uint8 RGB. answer: of the model that answers."""
        number, self._seen = self._seen, self._seen + 1
        if number % self._step or number >= 2 * PER_UNIT * self._step:
            return
        try:
            second = self._other.batcher.submit(self._other.export.square(image))
        except RuntimeError:  # the process stops
            return
        second.add_done_callback(lambda _: answer.add_done_callback(lambda _: self._count(answer, second)))

    def _count(self, answer: Future[Any], second: Future[Any]) -> None:
        if answer.exception() is not None or second.exception() is not None:
            return  # counted as an error of its model
        pairs = [(self._answering.export, answer.result()), (self._other.export, second.result())]
        if pairs[1][0].export_id == self._candidate:
            pairs.reverse()
        self._evidence.add(self._candidate, self._unit, *self._answering.task.compared(*pairs))


@contextlib.contextmanager
def shadowing(
    state: State, models: LoadedModels, evidence: Evidence, model: Model, unit: str, images: int
) -> Iterator[Shadow | None]:
    """A Shadow for a unit that `model` answers; None when no canary is being tried, or the other model is missing."""
    candidate = state.candidate
    pair = {state.champion, candidate.model} if candidate and candidate.phase == "canary" else set()
    other = next(iter(pair - {model.export.export_id}), None)
    if candidate is None or other is None or model.export.export_id not in pair:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            second = stack.enter_context(models.using(other))
        except Exception:  # the answer does not depend on it
            logging.getLogger(__name__).warning(
                "the canary is not judged: model %s fails to load", other, exc_info=True
            )
            yield None
            return
        yield Shadow(evidence, candidate.model, unit, model, second, images)
