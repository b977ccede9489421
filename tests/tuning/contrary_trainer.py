"""A CurveTrainer whose metrics disagree, so that each objective has another best trial."""

from __future__ import annotations

from curve_trainer import CurveTrainer

from trainers.metrics import Metrics


class ContraryTrainer(CurveTrainer):
    """The recipe with the best mAP finds pedestrians and small boxes worst, and has the highest loss."""

    def evaluate(self, images: int | None = None) -> Metrics:
        found = super().evaluate(images)
        mAP, done = found.values["mAP"], self.step / self._recipe.steps
        values = {"AP/pedestrian": round(0.7 * done - mAP, 4), "mAP_small": round(0.9 * (1 - mAP), 4)}
        return Metrics(
            self.step, {**found.values, **values}, {"total": 3.0 - 2 * done + mAP}, found.images, 0.0
        )
