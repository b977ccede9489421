"""The space `all`: which detector is a choice, and each detector's own part a branch of it.

Named so that Optuna's TPE (multivariate, group) learns most from few trials. It divides the parameters into
groups that always occur together, models a group jointly, and fits it to those of the good trials that hold
it:
- what means the same for every detector (optimizer, schedule, photometric augmentations, clipping, averaging)
  has one name, so that every trial teaches it; the choices that all trials make form one group with
  `detector`, in which what is good for one detector only can still be told apart;
- what means something else for each (the learning rate under an optimizer, the batch that fits) has the
  detector's name in front, so that one detector's good rates are never proposed to another;
- what belongs to a choice (an augmentation's strength, an optimizer's parameters) is asked only with it, so
  that trials without it say nothing about it;
- a parameter has one range wherever it is asked.
A single detector's space has the same names without `detector`, so that its trials can warm-start this one.
"""

import search_spaces
from search_spaces.branch import Branch
from search_spaces.conditions import Conditions
from search_spaces.space import Space


def _seconds(branch: Branch) -> float:
    """Of a gradient step of the laptop preset on one core."""
    here = Conditions(steps=1)
    pixels = branch.fixed(here)["image_size"] ** 2 * max(branch.batch_sizes(here))
    return branch.about.cost.step_seconds(pixels, 1) or 0.0


# cheapest step first: its trials are the first to be tried
BRANCHES = tuple(
    sorted(
        (branch for name in search_spaces.DETECTORS for branch in search_spaces.get(name).branches),
        key=_seconds,
    )
)

SPACE = Space("all", BRANCHES, laptop_steps=210)
