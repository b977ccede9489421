"""DetectorBranch: one detector's part of a space. Its data say what varies; its `suggest` asks a trial for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.branch import Branch, Published
from search_spaces.conditions import Conditions
from search_spaces.parts import augmentation, optimization, schedule
from search_spaces.parts.parameters import Range, Trial, choose
from search_spaces.published import Run
from trainers.recipe import Recipe


@dataclass(frozen=True)
class DetectorBranch(Branch):
    """What may vary for one detector.

    model: its registered name.
    from_scratch, fine_tuning: the optimizers to choose from, each with its range of learning rates.
    augmentations: by preset, the names of what may be done to the images (augmentation.AUGMENTATIONS).
    runs: what people published with it.
    zoo_batch_sizes: what the zoo preset chooses from. The laptop preset keeps the detector's own: another
        batch size is another graph, and tracing that costs a CPU more than many steps.
    """

    model: str
    from_scratch: Mapping[str, Range]
    fine_tuning: Mapping[str, Range]
    augmentations: Mapping[str, tuple[str, ...]]
    zoo_batch_sizes: tuple[int, ...]
    runs: tuple[Run, ...] = ()

    def suggest(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        """All fields of a Recipe."""
        fields = self.fixed(conditions)
        batches = self.batch_sizes(conditions)
        fields["batch_size"] = (
            choose(trial, f"{self.model}.batch_size", batches) if batches[1:] else batches[0]
        )
        moved, rate = optimization.suggest(trial, self.model, self._rates(conditions), conditions.steps)
        fields |= moved
        fields["schedule"] = schedule.suggest(trial, rate)
        names = self.augmentations[conditions.preset]
        fields["augmentations"] = augmentation.suggest(trial, names, fields["image_size"])
        return fields

    def express(self, recipe: Recipe, conditions: Conditions) -> tuple[dict[str, Any], list[str]]:
        """The parameters that say `recipe` under `conditions`, whatever the ranges; and what had to change.

        Another batch size takes a learning rate in proportion, where the optimizer wants that.
        """
        fields = recipe.to_dict()
        rate, changed = float(fields["schedule"]["base"]), []
        batches = self.batch_sizes(conditions)
        batch = min(batches, key=lambda size: max(size / recipe.batch_size, recipe.batch_size / size))
        if batch != recipe.batch_size:
            changed.append(f"batch {recipe.batch_size} → {batch}")
            if recipe.optimizer.kind in optimization.SCALED_WITH_BATCH:
                scaled = rate * batch / recipe.batch_size
                changed.append(f"rate {rate:g} → {scaled:g} with it")
                rate = scaled
        params = {f"{self.model}.batch_size": batch}
        params |= optimization.express(fields, self.model, rate, recipe.steps)
        params |= schedule.express(fields["schedule"])
        augmentations, missing = augmentation.express(
            fields["augmentations"], self.augmentations[conditions.preset]
        )
        return params | augmentations, changed + [f"without {name}" for name in missing]

    def fixed(self, conditions: Conditions) -> dict[str, Any]:
        """The Recipe fields that no trial decides."""
        return {name: value for name, value in super().fixed(conditions).items() if name not in _SUGGESTED}

    def batch_sizes(self, conditions: Conditions) -> tuple[int, ...]:
        """The batch sizes that trials may have."""
        if conditions.batch_size is None and conditions.preset == "zoo":
            return self.zoo_batch_sizes
        return super().batch_sizes(conditions)

    def published(self, preset: str) -> Sequence[Published]:
        """The preset's own default first, then the zoo's, then what people published with this detector."""
        return [*super().published(preset), *(run.published(self.model) for run in self.runs)]

    def _rates(self, conditions: Conditions) -> Mapping[str, Range]:
        return self.from_scratch if conditions.from_scratch else self.fine_tuning


_SUGGESTED = frozenset(
    {"optimizer", "schedule", "augmentations", "averaging", "gradient_clip", "l2", "batch_size"}
)
