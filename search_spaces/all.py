"""The space `all`: the detector is a categorical parameter, and each detector's own space is a branch.

Parameters are named so that Optuna's TPE (multivariate, group) learns most from few trials. It divides the parameters
into groups that always occur together, models each group jointly, and fits it to the good trials that have it:
- Parameters with the same meaning for every detector (optimizer, schedule, photometric augmentations, clipping,
  averaging) have one name, so that every trial informs them. The choices that all trials make form one group with
  `detector`, so that the model can still learn what is good for one detector only.
- Parameters with another meaning for each detector (the learning rate under an optimizer, the batch size) have the
  detector's name in front, so that one detector's good rates are never proposed to another.
- Parameters that belong to a choice (an augmentation's strength, an optimizer's parameters) are suggested only with it,
  so that trials without it do not affect them.
- A parameter has the same range wherever it is suggested.
A single detector's space uses the same names without `detector`, so that its trials can warm-start this one.
"""

from collections.abc import Sequence

import search_spaces
from search_spaces.branch import Branch
from search_spaces.conditions import Conditions
from search_spaces.space import Space


def _seconds(branch: Branch) -> float:
    """Seconds of a gradient step with the laptop preset on one core."""
    here = Conditions(steps=1)
    pixels = branch.fixed(here)["image_size"] ** 2 * max(branch.batch_sizes(here))
    return branch.about.cost.step_seconds(pixels, 1) or 0.0


def _branches(names: Sequence[str]) -> tuple[Branch, ...]:
    """The branches of these spaces, the cheapest first: the first trials of a search are in this order."""
    return tuple(
        sorted((branch for name in names for branch in search_spaces.get(name).branches), key=_seconds)
    )


def with_spaces(added: Sequence[str]) -> Space:
    """The space `all` joined by others, for `--with`."""
    name = "+".join(("all", *added))
    return Space(name, _branches((*search_spaces.DETECTORS, *added)), laptop_steps=270)


BRANCHES = _branches(search_spaces.DETECTORS)

SPACE = Space("all", BRANCHES, laptop_steps=270)
