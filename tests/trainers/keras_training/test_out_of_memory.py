"""A trial that needs more memory than there is ends as failed, and says with which batch and image size."""

from __future__ import annotations

import pytest

from trainers.errors import TrialFailed

pytestmark = pytest.mark.slow(30)

LARGEST = 2**40  # elements: four terabytes


def test_memory_that_tensorflow_or_numpy_cannot_allocate_is_a_failure_of_the_trial():
    import numpy as np
    import tensorflow as tf

    from trainers.keras_training.out_of_memory import out_of_memory_as_failure

    for allocate in (lambda: tf.zeros([LARGEST]), lambda: np.ones(64 * LARGEST)):
        with (
            pytest.raises(TrialFailed, match=r"^out of memory with batch 4 at 640 px: .") as error,
            out_of_memory_as_failure("batch 4 at 640 px"),
        ):
            allocate()
        assert "\n" not in error.value.reason


def test_only_those_of_a_gpus_errors_that_are_about_memory_are_told():
    import tensorflow as tf

    from trainers.keras_training.out_of_memory import out_of_memory_as_failure

    with pytest.raises(TrialFailed), out_of_memory_as_failure("batch 4 at 640 px"):
        raise tf.errors.InternalError(None, None, "cuDNN: CUDNN_STATUS_ALLOC_FAILED")
    with pytest.raises(tf.errors.InternalError), out_of_memory_as_failure("batch 4 at 640 px"):
        raise tf.errors.InternalError(None, None, "cuDNN: CUDNN_STATUS_BAD_PARAM")


def test_a_detector_that_does_not_fit_fails_in_start_and_the_next_trial_runs(tiny_city, tiny_recipe):
    from trainers.object_detection_api.trainer import DetectorTrainer

    trainer = DetectorTrainer(tiny_city)
    trainer._evaluation_input.most_boxes = 2**31 - 1  # room that evaluation cannot have: 69 GB
    with pytest.raises(TrialFailed, match="out of memory with batch 2 at 160 px"):
        trainer.start(tiny_recipe)
    del trainer._evaluation_input.most_boxes
    trainer.start(tiny_recipe)
    assert trainer.train(1).steps == [1]
