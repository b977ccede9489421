"""The space `faster_rcnn_101`: Faster R-CNN over ResNet101, with the ranges of the space over ResNet50."""

from search_spaces.space import Space
from search_spaces.two_stage.faster_rcnn import FasterRCNNBranch

BRANCH = FasterRCNNBranch(model="faster_rcnn_101")

SPACE = Space("faster_rcnn_101", (BRANCH,), laptop_steps=720)
