"""A checkpoint that is asked for while the evaluation is traced, beside the first steps of training."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.slow(20)


def test_a_checkpoint_waits_for_what_is_traced_in_the_background(trainer, tiny_recipe, tmp_path):
    """Tracing sets attributes of the model, in which TensorFlow looks for variables meanwhile: it found half of them."""
    trainer.start(tiny_recipe)
    trainer.train(1)
    trainer._graph.wait_for_tracing()
    trainer._graph._tracing = tracing = Future()
    with ThreadPoolExecutor(1) as beside:
        saving = beside.submit(trainer.save, tmp_path / "checkpoint")
        with pytest.raises(TimeoutError):
            saving.result(timeout=0.5)
        tracing.set_result(None)
        saving.result().result()
    assert (tmp_path / "checkpoint").is_dir()
