"""Reads TensorFlow's object-based checkpoints: where one is, its variables' names and shapes, whether it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from trainers.errors import UserError

# suffix of variable names in TensorFlow's object-based checkpoints
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
OPTIMIZER_SLOT = "/.OPTIMIZER_SLOT/"  # in the names of an optimizer's variables, behind that of the model's


def checkpoint_prefix(path: Path) -> Path:
    """The prefix of the TensorFlow checkpoint at a path: a prefix, a folder of checkpoints, or an unpacked zoo archive.

    Raises UserError if there is none.
    """
    for folder in (path, path / "checkpoint"):
        indices = sorted(folder.glob("*.index"), key=lambda file: (file.stat().st_mtime, file.name))
        if indices:
            return indices[-1].absolute().with_suffix("")
    if path.with_name(path.name + ".index").is_file():
        return path.absolute()
    raise UserError(f"{path}: no TensorFlow checkpoint (.index file) found; give its folder or its prefix")


def variable_shapes(prefix: Path) -> dict[str, list[int]]:
    """Variable name -> shape, from the index of an object-based checkpoint. Raises UserError if it cannot be read."""
    import tensorflow as tf

    try:
        shapes = tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise UserError(f"{prefix}: cannot be read as a checkpoint: {' '.join(str(error).split())}") from None
    return {name.removesuffix(VALUE): shape for name, shape in shapes.items() if name.endswith(VALUE)}


def check_values(prefix: Path) -> None:
    """Read every value, which TensorFlow compares with its checksum. Raises UserError if one is damaged."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(prefix))
    for name in variable_shapes(prefix):
        try:
            reader.get_tensor(name + VALUE)
        except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
            raise UserError(f"{prefix}: {name} is damaged: {' '.join(str(error).split())[:200]}") from None


def extractor_digest(shapes: Mapping[str, list[int]]) -> str:
    """The digest of a detector's feature extractor, which no number of classes or state of an optimizer changes."""
    inside = {name: shape for name, shape in shapes.items() if name.startswith("model/_feature_extractor")}
    return digest({name: shape for name, shape in inside.items() if OPTIMIZER_SLOT not in name})


def digest(shapes: Mapping[str, list[int]]) -> str:
    """sha256 of the sorted lines `name shape`, such as `model/_box_predictor/.../kernel [3, 3, 256, 256]`."""
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
