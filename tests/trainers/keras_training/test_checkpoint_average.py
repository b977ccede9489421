"""Checkpoints of one network are averaged to a checkpoint that restores like any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainers.errors import UserError
from trainers.keras_training.checkpoint import PREFIX, PROGRESS
from trainers.keras_training.checkpoint_average import average
from trainers.keras_training.snapshot import SavedVariables


class Parts(tf.Module):
    """A network of one kernel, and what training adds."""

    def __init__(self, value: float, step: int, width: int = 3) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.fill([2, width], value))
        self.seen = tf.Variable(step, dtype=tf.int64)
        self.momentum = tf.Variable(tf.fill([2, width], 10 * value))

    def saved(self) -> SavedVariables:
        root = tf.train.Checkpoint(
            model=tf.train.Checkpoint(kernel=self.kernel, seen=self.seen),
            optimizer=tf.train.Checkpoint(momentum=self.momentum),
        )
        return SavedVariables(root)


def checkpoint(folder: Path, value: float, step: int, width: int = 3) -> Path:
    folder.mkdir()
    Parts(value, step, width).saved().snapshot().write(folder / PREFIX)
    (folder / PROGRESS).write_text(json.dumps({"step": step}))
    return folder


def test_weights_are_averaged_and_the_rest_is_the_firsts(tmp_path):
    given = [checkpoint(tmp_path / str(i), value, 100 + i) for i, value in enumerate((1.0, 2.0, 6.0))]
    average(given, tmp_path / "average")
    restored = Parts(0.0, 0)
    restored.saved().restore(tmp_path / "average" / PREFIX)
    assert np.all(restored.kernel.numpy() == 3.0)
    assert restored.seen.numpy() == 100
    assert np.all(restored.momentum.numpy() == 10.0)
    assert json.loads((tmp_path / "average" / PROGRESS).read_text()) == {"step": 100}


def test_tensorflow_itself_can_read_it(tmp_path):
    given = [checkpoint(tmp_path / str(i), value, 1) for i, value in enumerate((1.0, 3.0))]
    average(given, tmp_path / "average")
    found = Parts(0.0, 0)
    root = tf.train.Checkpoint(model=tf.train.Checkpoint(kernel=found.kernel, seen=found.seen))
    root.restore(str(tmp_path / "average" / PREFIX)).expect_partial()
    assert np.all(found.kernel.numpy() == 2.0)


def test_trials_of_one_network_with_different_optimizers_are_averaged(tmp_path):
    from tf_keras.optimizers import legacy

    def trained(name: str, value: float, optimizer) -> Path:
        kernel = tf.Variable(tf.fill([2, 3], value))
        optimizer._create_all_weights([kernel])  # their state is stored beside the kernel, in its name
        root = tf.train.Checkpoint(model=tf.train.Checkpoint(kernel=kernel), optimizer=optimizer)
        (tmp_path / name).mkdir()
        SavedVariables(root).snapshot().write(tmp_path / name / PREFIX)
        (tmp_path / name / PROGRESS).write_text("{}")
        return tmp_path / name

    given = [
        trained("adam", 1.0, legacy.Adam()),
        trained("momentum", 5.0, legacy.SGD(momentum=0.9)),
        trained("another adam", 6.0, legacy.Adam()),
    ]
    first = tf.train.load_checkpoint(str(given[0] / PREFIX)).get_variable_to_shape_map()
    assert any(name.startswith("model/kernel/.OPTIMIZER_SLOT/optimizer/m/") for name in first)
    average(given, tmp_path / "average")
    found = Parts(0.0, 0)
    root = tf.train.Checkpoint(model=tf.train.Checkpoint(kernel=found.kernel))
    root.restore(str(tmp_path / "average" / PREFIX)).expect_partial()
    assert np.all(found.kernel.numpy() == 4.0)


def test_another_network_is_refused(tmp_path):
    given = [checkpoint(tmp_path / "one", 1.0, 1), checkpoint(tmp_path / "other", 1.0, 1, width=4)]
    with pytest.raises(UserError, match=r"other: has no such variable as model/kernel.* another network"):
        average(given, tmp_path / "average")
    assert not (tmp_path / "average").exists()


def test_a_damaged_checkpoint_is_named(tmp_path):
    given = [checkpoint(tmp_path / "one", 1.0, 1), checkpoint(tmp_path / "other", 1.0, 1)]
    (given[1] / f"{PREFIX}.index").write_bytes(b"half")
    with pytest.raises(UserError, match="other: cannot be read as a checkpoint"):
        average(given, tmp_path / "average")
