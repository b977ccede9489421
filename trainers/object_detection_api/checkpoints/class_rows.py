"""Takes the last layer's weights for classes that published weights know too, by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.detection.class_names import same
from trainers.object_detection_api.checkpoints.reading import VALUE


def take_over(
    layers: Mapping[str, Any], prefix: Path, classes: Sequence[str], known: Mapping[int, str]
) -> dict[str, str]:
    """Copy the outputs of the shared classes from a checkpoint into the layers that predict classes.

    layers: name of the layer in the checkpoint -> Keras layer. The last dimension of its kernel and bias is that of
        anchors x (1 + classes), the background first, as WeightSharedConvolutionalClassHead has it
        (object_detection/predictors/heads/keras_class_head.py). Variables without that dimension are copied whole.
    classes: own names; label id i is classes[i - 1]. known: names of the checkpoint's classes by label id.
    Returns own name -> the checkpoint's, for each class that was taken over; nothing is changed if there is none.
    """
    shared = same(classes, known.values())
    if not shared:
        return {}
    ids = {name: number for number, name in known.items()}
    own = [0, *(classes.index(name) + 1 for name in shared)]
    theirs = [0, *(ids[name] for name in shared.values())]
    reader = tf.train.load_checkpoint(str(prefix))
    for name, layer in layers.items():
        for variable in layer.variables:
            here = variable.numpy()
            there = reader.get_tensor(f"{name}/{variable.name.split('/')[-1].partition(':')[0]}{VALUE}")
            if here.shape == there.shape and here.shape[-1] % (len(classes) + 1):
                variable.assign(there)
                continue
            slots = here.reshape(*here.shape[:-1], -1, len(classes) + 1).copy()
            source = there.reshape(*there.shape[:-1], slots.shape[-2], -1)
            slots[..., own] = source[..., theirs]
            variable.assign(np.reshape(slots, here.shape))
    return shared
