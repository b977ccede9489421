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

from search_spaces import efficientdet, mobilenet, retinanet
from search_spaces.space import Space

# cheapest step first: its trials are the first to be tried
BRANCHES = (mobilenet.BRANCH, retinanet.BRANCH, efficientdet.BRANCH)

SPACE = Space("all", BRANCHES, laptop_steps=210)
