"""Takes the last layer's weights for classes that published weights know too, by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.detection.class_names import same
from trainers.errors import UserError
from trainers.object_detection_api.checkpoints.reading import VALUE


def take_over(
    layers: Mapping[str, Any], prefix: Path, classes: Sequence[str], known: Mapping[int, str], background: int
) -> dict[str, str]:
    """Copy the outputs of the shared classes from a checkpoint into the layers that predict classes.

    layers: name of the layer in the checkpoint -> Keras layer. The last dimension of its kernel and bias is that of
        anchors x (background + classes), as WeightSharedConvolutionalClassHead has it
        (object_detection/predictors/heads/keras_class_head.py). Variables without that dimension, such as a depthwise
        kernel, are copied whole.
    classes: own names; label id i is classes[i - 1]. known: names of the checkpoint's classes by label id.
    background: 1 if the first output of an anchor is that of the background, 0 if there is none.
    Returns own name -> the checkpoint's, for each class that was taken over; nothing is changed if there is none.
    Raises UserError if the checkpoint has fewer outputs than its label map has ids.
    """
    shared = same(classes, known.values())
    if not shared:
        return {}
    ids = {name: number for number, name in known.items()}
    before = list(range(background))
    own = [*before, *(background + classes.index(name) for name in shared)]
    theirs = [*before, *(background + ids[name] - 1 for name in shared.values())]
    reader = tf.train.load_checkpoint(str(prefix))
    for name, layer in layers.items():
        outputs = int(layer.bias.shape[0])
        for variable in layer.variables:
            here = variable.numpy()
            there = reader.get_tensor(f"{name}/{variable.name.split('/')[-1].partition(':')[0]}{VALUE}")
            if here.shape[-1] != outputs:
                variable.assign(there)
                continue
            slots = here.reshape(*here.shape[:-1], -1, background + len(classes)).copy()
            source = there.reshape(*there.shape[:-1], slots.shape[-2], -1)
            if max(theirs) >= source.shape[-1]:
                raise UserError(
                    f"{prefix}: predicts {source.shape[-1] - background} classes, but the label map beside it has "
                    f"id {max(theirs) + 1 - background}"
                )
            slots[..., own] = source[..., theirs]
            variable.assign(np.reshape(slots, here.shape))
    return shared
