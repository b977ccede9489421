"""PartsBranch: the DetectorBranch of detectors that are put together from parts, which are choices of the space, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces.branch import Published, recipe_of
from search_spaces.conditions import Conditions
from search_spaces.detector_branch import DetectorBranch
from search_spaces.parts.parameters import Range, Trial, choose
from trainers.recipe import Recipe

Option = Range | tuple[Any, ...]
MULTI_SCALE, BACKBONE, NECK = "multi_scale", "backbone", "neck"


@dataclass(frozen=True)
class PartsBranch(DetectorBranch):
    """The search space of a family of detectors.

    parts: recipe field -> its choices or range; each is a parameter of that name.
    when: recipe field -> (one of `parts`, its values with which it is a parameter, its choices or range): what only
        some parts have.
    scales: choice of the parameter `multi_scale` -> fractions of the image size that training draws from; none for off.
    known: the family's published recipes besides its presets.
    tunes_backbone: no, since the parts vary its rate by layer (`layer_decay`).
    """

    parts: Mapping[str, Option] = field(default_factory=dict)
    when: Mapping[str, tuple[str, tuple[Any, ...], Option]] = field(default_factory=dict)
    scales: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    known: Sequence[tuple[str, str, Mapping[str, Any]]] = ()
    tunes_backbone: bool = False

    def suggest(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        """Recipe fields, the varied ones suggested by `trial`; the parts first."""
        chosen = {name: _suggest(trial, name, option) for name, option in self.parts.items()}
        for name, (part, values, option) in self.when.items():
            if chosen[part] in values:
                chosen[name] = _suggest(trial, name, option)
        fields = super().suggest(trial, conditions)
        kept = {name: value for name, value in fields.items() if name not in self.when}
        sizes = self._sizes(choose(trial, MULTI_SCALE, tuple(self.scales)), fields["image_size"])
        return kept | chosen | {"train_sizes": sizes}

    def express(self, recipe: Recipe, conditions: Conditions) -> tuple[dict[str, Any], list[str]]:
        """See DetectorBranch.express. Training sizes become the choice with as many."""
        params, changed = super().express(recipe, conditions)
        fields = recipe.to_dict()
        params |= {name: fields[name] for name in self.parts}
        for name, (part, values, _) in self.when.items():
            if fields[part] in values:
                params[name] = fields[name]
        count, size = len(fields["train_sizes"]), fields["image_size"]
        near = min(self.scales, key=lambda name: abs(len(self._sizes(name, size)) - count))
        return params | {MULTI_SCALE: near}, changed

    def relative_costs(self, conditions: Conditions) -> Mapping[str, float]:
        """Of each backbone that the conditions leave."""
        return {name: self.about.relative_cost({BACKBONE: name}) for name in self._left(BACKBONE, conditions)}

    def most_parameters(self, conditions: Conditions) -> int:
        """Of the largest of the backbones and necks that the conditions leave."""
        sizes = [
            self.about.parameters(
                self.fixed(conditions) | {BACKBONE: backbone, NECK: neck} | self._most(neck)
            )
            for backbone in self._left(BACKBONE, conditions)
            for neck in self._left(NECK, conditions)
        ]
        return max(sizes)

    def published(self, preset: str) -> Sequence[Published]:
        """The presets' recipes, then those of `known`, with the zoo preset's values of the fields they leave out."""
        base = {"model": self.model, **self.defaults("zoo")}
        more = [
            Published(name, source, recipe_of(name, base | dict(own))) for name, source, own in self.known
        ]
        return [*super().published(preset), *more]

    def _left(self, part: str, conditions: Conditions) -> tuple[Any, ...]:
        left = dict(conditions.only).get(part, self.parts[part])
        assert isinstance(left, tuple)
        return left

    def _most(self, neck: str) -> dict[str, Any]:
        """Recipe fields: the largest choice of what only this neck has, such as its pathways; 0 without any."""
        own = {
            name: option
            for name, (part, values, option) in self.when.items()
            if part == NECK and neck in values
        }
        return {"pathways": 0} | {
            name: max(option) for name, option in own.items() if isinstance(option, tuple)
        }

    def _sizes(self, scale: str, image_size: int) -> tuple[int, ...]:
        """The sides in pixels, in rising order, that the image size takes at these fractions."""
        step, least = self.about.image_size_multiple, self.about.min_image_size
        sizes = {max(least, round(part * image_size / step) * step) for part in self.scales[scale]}
        return tuple(sorted(size for size in sizes if size <= image_size)) if len(sizes) > 1 else ()


def _suggest(trial: Trial, name: str, option: Option) -> Any:
    return option.suggest(trial, name) if isinstance(option, Range) else choose(trial, name, option)
