"""Recipe -> `pipeline.config`: a training run as the Object Detection API's own tools read it.

Fractions of a recipe's schedule become steps, rounded as in `trainers.schedules`. One field is ambiguous:
`rms_prop_optimizer.decay` is the decay of the running average in recipes, in TensorFlow 1 and in the proto's default,
but the API's TensorFlow 2 builder passes it to Keras as `decay`, which reduced the learning rate at every step and is
an error today. This does not affect the trainer, which builds its own optimizers. The API has no
AdamW: Adam stands in its place, without the decay. Nor has it a rate of the backbone, or a step at which it thaws.

Needs protobuf, not TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from trainers.augmentations import Augmentation
from trainers.datasets.dataset import MOST_TRAINED_BOXES
from trainers.object_detection_api import architectures, compat
from trainers.object_detection_api.detector import DetectorRecipe, detector
from trainers.optimizers import Adam, AdamW, Momentum, Optimizer, RMSProp
from trainers.schedules import Constant, Cosine, ManualStep, Schedule

compat.install_protos()

from object_detection.protos import (  # noqa: E402
    model_pb2,
    optimizer_pb2,
    pipeline_pb2,
    preprocessor_pb2,
    train_pb2,
)


def model_proto(recipe: DetectorRecipe, classes: int) -> Any:
    """The recipe's detector for a number of classes: a `model_pb2.DetectionModel`."""
    text = detector(recipe.model).text(recipe, classes)
    model = text_format.Parse(text, model_pb2.DetectionModel())
    architectures.of(model).configure(model, recipe)
    return model


def pipeline_proto(
    recipe: DetectorRecipe,
    classes: Sequence[str],
    *,
    train_files: Sequence[Path],
    validation_files: Sequence[Path],
    label_map: Path,
    checkpoint: str | None = None,
    most_validation_boxes: int = MOST_TRAINED_BOXES,
) -> Any:
    """The whole run: a `pipeline_pb2.TrainEvalPipelineConfig`.

    classes: names; label id i in the records is classes[i - 1].
    train_files, validation_files: TFRecord files in the API's format.
    label_map: the label map file of `classes`.
    checkpoint: the checkpoint prefix of `recipe.weights` on this machine; None if and only if its source is "none".
    most_validation_boxes: room for the boxes of a validation image. In training it is 100, as in the zoo's
        configurations; the API drops the others.
    """
    if (checkpoint is None) != (recipe.weights.source == "none"):
        raise ValueError(f"weights are {recipe.weights.source!r}, but the checkpoint given is {checkpoint!r}")
    config = pipeline_pb2.TrainEvalPipelineConfig(model=model_proto(recipe, len(classes)))

    train = config.train_config
    train.batch_size = recipe.batch_size
    train.num_steps = recipe.steps
    train.use_bfloat16 = recipe.precision == "bfloat16"
    train.data_augmentation_options.extend(augmentation_proto(each) for each in recipe.augmentations)
    train.optimizer.CopyFrom(optimizer_proto(recipe.optimizer, recipe.schedule, recipe.steps))
    train.optimizer.use_moving_average = recipe.averaging is not None
    if recipe.averaging is not None:
        train.optimizer.moving_average_decay = recipe.averaging
    if recipe.gradient_clip is not None:
        train.gradient_clipping_by_norm = recipe.gradient_clip
    if checkpoint is not None:
        train.fine_tune_checkpoint = checkpoint
        part = recipe.weights.part  # the API restores no heads
        train.fine_tune_checkpoint_type = "detection" if part == "boxes" else part
        train.fine_tune_checkpoint_version = train_pb2.CheckpointVersion.Value("V2")
    # keeps shapes static; padded rows have weight 0
    train.unpad_groundtruth_tensors = False
    train.max_number_of_boxes = MOST_TRAINED_BOXES

    label_map = label_map.absolute()  # the API's tools may run in another directory
    config.train_input_reader.label_map_path = str(label_map)
    config.train_input_reader.max_number_of_boxes = MOST_TRAINED_BOXES
    config.train_input_reader.tf_record_input_reader.input_path.extend(
        str(path.absolute()) for path in train_files
    )

    config.eval_config.metrics_set.append("coco_detection_metrics")
    config.eval_config.num_visualizations = 0
    config.eval_config.use_moving_averages = recipe.averaging is not None
    reader = config.eval_input_reader.add(label_map_path=str(label_map), shuffle=False, num_epochs=1)
    reader.max_number_of_boxes = most_validation_boxes
    reader.tf_record_input_reader.input_path.extend(str(path.absolute()) for path in validation_files)
    return config


def render(config: Any) -> str:
    """The contents of a `pipeline.config` file."""
    rendered: str = text_format.MessageToString(config)
    return rendered


def augmentation_proto(augmentation: Augmentation) -> Any:
    """A `preprocessor_pb2.PreprocessingStep` with all options set explicitly, independent of the proto's defaults."""
    return preprocessor_pb2.PreprocessingStep(**{augmentation.name: augmentation.options})


def optimizer_proto(optimizer: Optimizer, schedule: Schedule, steps: int) -> Any:
    """An `optimizer_pb2.Optimizer` with its learning rate over `steps` steps."""
    rate = learning_rate_proto(schedule, steps)
    match optimizer:
        case Momentum():
            kind = optimizer_pb2.MomentumOptimizer(
                learning_rate=rate, momentum_optimizer_value=optimizer.momentum
            )
            return optimizer_pb2.Optimizer(momentum_optimizer=kind)
        case Adam() | AdamW():
            kind = optimizer_pb2.AdamOptimizer(learning_rate=rate, epsilon=optimizer.epsilon)
            return optimizer_pb2.Optimizer(adam_optimizer=kind)
        case RMSProp():
            kind = optimizer_pb2.RMSPropOptimizer(
                learning_rate=rate,
                momentum_optimizer_value=optimizer.momentum,
                decay=optimizer.decay,
                epsilon=optimizer.epsilon,
            )
            return optimizer_pb2.Optimizer(rms_prop_optimizer=kind)


def learning_rate_proto(schedule: Schedule, steps: int) -> Any:
    """An `optimizer_pb2.LearningRate` in whole steps of `steps`."""
    match schedule:
        case Constant():
            kind = optimizer_pb2.ConstantLearningRate(learning_rate=schedule.base)
            return optimizer_pb2.LearningRate(constant_learning_rate=kind)
        case Cosine():
            kind = optimizer_pb2.CosineDecayLearningRate(
                learning_rate_base=schedule.base,
                total_steps=steps,
                warmup_learning_rate=schedule.warmup_rate,
                warmup_steps=round(schedule.warmup * steps),
                hold_base_rate_steps=round(schedule.hold * steps),
            )
            return optimizer_pb2.LearningRate(cosine_decay_learning_rate=kind)
        case ManualStep():
            drops = zip(schedule.places(steps), schedule.drops, strict=True)
            kind = optimizer_pb2.ManualStepLearningRate(
                initial_learning_rate=0.0 if schedule.warmup else schedule.base,
                schedule=[
                    {"step": place, "learning_rate": schedule.base * drop.factor} for place, drop in drops
                ],
                warmup=schedule.warmup,
            )
            return optimizer_pb2.LearningRate(manual_step_learning_rate=kind)
        case _:
            kind = optimizer_pb2.ExponentialDecayLearningRate(
                initial_learning_rate=schedule.base,
                decay_steps=max(1, round(schedule.every * steps)),
                decay_factor=schedule.factor,
                staircase=schedule.staircase,
                burnin_learning_rate=schedule.burnin_rate,
                burnin_steps=round(schedule.burnin * steps),
                min_learning_rate=schedule.min_rate,
            )
            return optimizer_pb2.LearningRate(exponential_decay_learning_rate=kind)
