"""A trial as users of the Object Detection API write it: one process, its own `eager_train_step` and `eager_eval_loop`.

    .venv/bin/python tests/benchmarks/stock_trial.py pipeline.config 20

Each further number is a rung: trained to and evaluated at.
What the API needs to import at all is trainers' compat module; the rest is the API's. Prints one line of JSON: when the
process could begin, each step's seconds with its input, when its evaluation was done, and the mAP.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BEGAN = time.time()
sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from trainers.object_detection_api import compat  # noqa: E402

compat.install()
# for a metric that is not asked for
parts = types.SimpleNamespace(LVIS=object, LVISEval=object, LVISResults=object)
sys.modules["lvis"] = types.ModuleType("lvis")
sys.modules["lvis"].__dict__.update(lvis=parts, eval=parts, results=parts)

import tensorflow as tf  # noqa: E402
from object_detection import inputs, model_lib_v2  # noqa: E402
from object_detection.builders import model_builder, optimizer_builder  # noqa: E402
from object_detection.utils import config_util  # noqa: E402


def without_summaries() -> None:
    """TensorBoard's part of TensorFlow is not installed, and would only cost this side time."""
    tf.compat.v2.summary.scalar = tf.compat.v2.summary.image = lambda *_, **__: None
    tf.logging = tf.compat.v1.logging


def with_rms_prop() -> None:
    """The API's builder hands Keras the running average's decay as the rate's, which it refuses today."""
    made = tf.keras.optimizers.RMSprop
    tf.keras.optimizers.RMSprop = lambda rate, decay, **options: made(rate, rho=decay, **options)


def trial(
    pipeline: str, rungs: Sequence[int], report: Callable[[int, float], None] = lambda step, mean_ap: None
) -> dict[str, Any]:
    """Train to the last of `rungs`, and evaluate at each; `report` is told of the step and the mAP."""
    without_summaries()
    with_rms_prop()
    configs = config_util.get_configs_from_pipeline_file(pipeline)
    train_config, model_config = configs["train_config"], configs["model"]
    unpad = train_config.unpad_groundtruth_tensors
    model = model_builder.build(model_config, is_training=True)
    training = inputs.train_input(
        train_config=train_config,
        train_input_config=configs["train_input_config"],
        model_config=model_config,
        model=model,
    )
    batches = iter(training.repeat())
    global_step = tf.Variable(0, trainable=False, dtype=tf.int64)
    optimizer, _ = optimizer_builder.build(train_config.optimizer, global_step=global_step)
    # as the API's train_loop does it; the averages are not evaluated, for that asks for a tf.distribute strategy
    if train_config.optimizer.use_moving_average:
        model_lib_v2._ensure_model_is_built(model, training, unpad)
        optimizer.shadow_copy(model)

    @tf.function
    def step(features: Any, labels: Any) -> Any:
        return model_lib_v2.eager_train_step(
            model, features, labels, unpad, optimizer, training_step=global_step
        )

    seconds: list[float] = []
    mean_ap = 0.0
    for rung in rungs:
        while len(seconds) < rung:
            began = time.perf_counter()
            losses = step(*next(batches))
            float(losses["Loss/total_loss"])
            global_step.assign_add(1)
            seconds.append(time.perf_counter() - began)
        validation = inputs.eval_input(
            eval_config=configs["eval_config"],
            eval_input_config=configs["eval_input_config"],
            model_config=model_config,
            model=model,
        )
        found = model_lib_v2.eager_eval_loop(model, configs, validation, global_step=global_step)
        mean_ap = float(found["DetectionBoxes_Precision/mAP"])
        report(rung, mean_ap)
    return {"began": BEGAN, "measured": time.time(), "steps": seconds, "mAP": mean_ap}


if __name__ == "__main__":
    out = os.dup(1)
    os.dup2(2, 1)  # the API prints
    result = trial(sys.argv[1], [int(word) for word in sys.argv[2:]])
    os.write(out, (json.dumps(result) + "\n").encode())
