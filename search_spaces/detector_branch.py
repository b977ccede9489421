"""DetectorBranch: the Branch of a detector: learning rate, optimizer, schedule, augmentations and batch size vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.branch import Branch, Published
from search_spaces.conditions import Conditions
from search_spaces.parts import augmentation, fine_tuning, optimization, schedule
from search_spaces.parts.parameters import Range, Trial, choose
from search_spaces.published import Run
from trainers.recipe import Recipe


@dataclass(frozen=True)
class DetectorBranch(Branch):
    """The search space of one detector.

    model: its registered name.
    from_scratch, fine_tuning: optimizer -> range of its learning rate, without and with initial weights.
    augmentations: preset -> the augmentations that trials may use (keys of augmentation.AUGMENTATIONS).
    zoo_batch_sizes: the choices of the zoo preset. The laptop preset has a single batch size, the detector's default:
        another one needs another graph, and tracing it takes a CPU longer than many steps.
    runs: published training runs of the detector.
    tunes_backbone: whether trials that start from trained weights vary how the backbone is trained on.
    """

    model: str
    from_scratch: Mapping[str, Range]
    fine_tuning: Mapping[str, Range]
    augmentations: Mapping[str, tuple[str, ...]]
    zoo_batch_sizes: tuple[int, ...]
    runs: tuple[Run, ...] = ()
    tunes_backbone: bool = True

    def suggest(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        """Recipe fields, the varied ones suggested by `trial`."""
        fields = self.fixed(conditions)
        batches = self.batch_sizes(conditions)
        fields["batch_size"] = (
            choose(trial, f"{self.model}.batch_size", batches) if batches[1:] else batches[0]
        )
        moved, rate = optimization.suggest(trial, self.model, self._rates(conditions), conditions.steps)
        fields |= moved
        fields["schedule"] = schedule.suggest(trial, rate)
        if self._tunes_backbone(conditions):
            fields |= fine_tuning.suggest(trial, batch_norm=conditions.preset == "zoo")
        names = self.augmentations[conditions.preset]
        fields["augmentations"] = augmentation.suggest(trial, names, fields["image_size"])
        return fields

    def express(self, recipe: Recipe, conditions: Conditions) -> tuple[dict[str, Any], list[str]]:
        """See Branch.express. If the batch size must change, some optimizers' learning rates change in proportion."""
        fields = recipe.to_dict()
        rate, changed = float(fields["schedule"]["base"]), []
        batches = self.batch_sizes(conditions)
        batch = min(batches, key=lambda size: max(size / recipe.batch_size, recipe.batch_size / size))
        if batch != recipe.batch_size:
            changed.append(f"batch {recipe.batch_size} → {batch}")
            if recipe.optimizer.kind in optimization.SCALED_WITH_BATCH:
                scaled = rate * batch / recipe.batch_size
                changed.append(f"learning rate {rate:g} → {scaled:g} (scaled with the batch)")
                rate = scaled
        params = {f"{self.model}.batch_size": batch}
        params |= optimization.express(fields, self.model, rate, recipe.steps)
        params |= schedule.express(fields["schedule"])
        if self._tunes_backbone(conditions):
            tuned, without = fine_tuning.express(fields, batch_norm=conditions.preset == "zoo")
            params, changed = params | tuned, changed + without
        augmentations, missing = augmentation.express(
            fields["augmentations"], self.augmentations[conditions.preset]
        )
        return params | augmentations, changed + [f"without {name}" for name in missing]

    def fixed(self, conditions: Conditions) -> dict[str, Any]:
        """The Recipe fields that do not vary."""
        return {name: value for name, value in super().fixed(conditions).items() if name not in _SUGGESTED}

    def batch_sizes(self, conditions: Conditions) -> tuple[int, ...]:
        """The batch sizes to choose from."""
        if conditions.batch_size is None and conditions.preset == "zoo":
            return self.zoo_batch_sizes
        return super().batch_sizes(conditions)

    def published(self, preset: str) -> Sequence[Published]:
        """The preset's default recipe first, then the zoo's, then the published runs."""
        return [*super().published(preset), *(run.published(self.model) for run in self.runs)]

    def _tunes_backbone(self, conditions: Conditions) -> bool:
        return self.tunes_backbone and not conditions.from_scratch

    def _rates(self, conditions: Conditions) -> Mapping[str, Range]:
        return self.from_scratch if conditions.from_scratch else self.fine_tuning


_SUGGESTED = frozenset(
    {"optimizer", "schedule", "augmentations", "averaging", "gradient_clip", "l2", "batch_size"}
)
