"""The space `segmenters`: the model is a parameter, and each segmentation model's own space is a branch."""

from search_spaces.segmenters.follow_me import BRANCH as FCN
from search_spaces.segmenters.unet import BRANCH as UNET
from search_spaces.space import Space

SPACE = Space("segmenters", (FCN, UNET), laptop_steps=600, choice="model")
