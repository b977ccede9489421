"""A pipeline.config that somebody wrote is read as a recipe; what a recipe cannot say is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_pipeline_config import AS_TRAINED, FULL, NAMES, whole
from test_schedules import SCHEDULES
from zoo_variables import published_config

from trainers import model as models
from trainers import recipe
from trainers.augmentations.table import AUGMENTATIONS
from trainers.errors import UserError
from trainers.object_detection_api import pipeline_config
from trainers.object_detection_api.detector import detector
from trainers.recipe import Given, InitialWeights

PUBLISHED = [name for name in NAMES if detector(name).zoo_archive]
ZOO = models.get("mobilenet").presets["zoo"]


def read(text: str, folder: Path) -> Given:
    (folder / "pipeline.config").write_text(text)
    return recipe.read_any(folder / "pipeline.config")


def read_back(of: recipe.Recipe, folder: Path) -> Given:
    archive = detector(of.model).zoo_archive
    checkpoint = None if of.weights.source == "none" else f"/zoo/{archive}/checkpoint/ckpt-0"
    return read(pipeline_config.render(whole(of, checkpoint)), folder)


def refusal(text: str, folder: Path) -> str:
    with pytest.raises(UserError) as refused:
        read(text, folder)
    message = str(refused.value)
    assert message.startswith(str(folder / "pipeline.config"))
    assert "\n" not in message
    return message.removeprefix(str(folder / "pipeline.config"))


def with_training(training: str) -> str:
    return published_config("mobilenet") + f"train_config {{ batch_size: 8 num_steps: 100 {training} }}"


MOMENTUM = (
    "optimizer { momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: .01 } } } }"
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_recipe_of_a_model_comes_back_as_it_went_out(name: str, tmp_path: Path):
    made = recipe.build({"model": name, **models.get(name).presets["zoo"]})
    found = read_back(made, tmp_path)
    assert found.recipe == made
    assert not found.changed


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "optimizer",
    [
        {"kind": "momentum", "momentum": 0.7},
        {"kind": "adam", "epsilon": 0.01},
        {"kind": "rms_prop", "momentum": 0.6, "decay": 0.8, "epsilon": 0.5},
    ],
)
def test_every_optimizer_and_schedule_comes_back(optimizer: dict[str, Any], schedule: str, tmp_path: Path):
    made = recipe.build(
        dict(ZOO) | AS_TRAINED | {"optimizer": optimizer, "schedule": SCHEDULES[schedule], "steps": 2000}
    )
    found = read_back(made, tmp_path).recipe
    assert found.optimizer == made.optimizer
    rates = [(found.learning_rate(step), made.learning_rate(step)) for step in range(0, 2000, 7)]
    for theirs, ours in rates:
        assert theirs == pytest.approx(ours, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_comes_back_with_its_options(name: str, tmp_path: Path):
    made = recipe.build(
        dict(ZOO) | AS_TRAINED | {"augmentations": [{"name": name, "options": FULL.get(name, {})}]}
    )
    found = read_back(made, tmp_path).recipe.augmentations[0]
    assert found.name == name
    assert _rounded(found.options) == _rounded(made.augmentations[0].options)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


def test_weights_averages_and_clipping_come_back(tmp_path: Path):
    made = recipe.build(dict(ZOO) | AS_TRAINED).replace(
        l2=0.01, batch_norm_decay=0.75, classification_weight=2, averaging=0.99, gradient_clip=10
    )
    assert read_back(made, tmp_path).recipe == made


def test_a_checkpoint_that_is_here_is_what_the_training_starts_from(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ckpt-7.index").touch()
    start = f"{MOMENTUM} fine_tune_checkpoint: '{tmp_path}/mine/ckpt-7'"
    for kind, part in (("detection", "detection"), ("full", "full"), ("classification", "classification")):
        found = read(with_training(f"{start} fine_tune_checkpoint_type: '{kind}'"), tmp_path)
        assert found.recipe.weights == InitialWeights(source=f"{tmp_path}/mine/ckpt-7", part=part)
        assert not found.changed
    assert read(with_training(start), tmp_path).recipe.weights.part == "classification"
    found = read(with_training(f"{start} fine_tune_checkpoint_type: 'fine_tune'"), tmp_path)
    assert found.changed == ("fine_tune_checkpoint_type fine_tune → detection",)


def test_a_checkpoint_that_is_not_here_is_said_to_be_replaced_by_the_zoo_s(tmp_path: Path):
    found = read(with_training(f"{MOMENTUM} fine_tune_checkpoint: '/gone/ckpt-7'"), tmp_path)
    assert found.recipe.weights.source == "zoo"
    assert found.changed == ("fine_tune_checkpoint /gone/ckpt-7 (not on this machine) → the zoo's",)


def test_without_a_checkpoint_the_training_starts_from_scratch(tmp_path: Path):
    assert read(with_training(MOMENTUM), tmp_path).recipe.weights.source == "none"


def test_what_differs_from_the_published_model_is_said(tmp_path: Path):
    text = published_config("mobilenet").replace("anchor_scale: 4.0", "anchor_scale: 2.0")
    text = text.replace("height: 640", "height: 300").replace("width: 640", "width: 500")
    found = read(text + f"train_config {{ batch_size: 8 {MOMENTUM} }}", tmp_path)
    assert found.recipe.image_size == 512
    assert found.changed == (
        "input 500x300 → 512x512 px",
        "no num_steps → 50,000",
        "model's ssd.anchor_generator.multiscale_anchor_generator.anchor_scale 2.0 → 4.0",
    )


def test_what_would_change_the_training_and_is_not_taken_over_is_said(tmp_path: Path):
    fields = "add_regularization_loss: false merge_multiple_label_boxes: true max_number_of_boxes: 300"
    assert read(with_training(f"{MOMENTUM} {fields}"), tmp_path).changed == (
        "without merge_multiple_label_boxes",
        "add_regularization_loss false → true",
        "max_number_of_boxes 300 → 100",
    )


def test_an_image_resizer_of_another_kind_than_the_published_is_said(tmp_path: Path):
    kept = "keep_aspect_ratio_resizer { min_dimension: 640 max_dimension: 640 pad_to_max_dimension: true }"
    published = with_training(MOMENTUM)
    start = published.index("fixed_shape_resizer")
    end = published.index("}", start) + 1
    found = read(published[:start] + kept + published[end:], tmp_path)
    assert found.changed == (
        "model's ssd.image_resizer.keep_aspect_ratio_resizer.pad_to_max_dimension True → unset",
    )
    assert not read(published, tmp_path).changed
    oblong = kept.replace("min_dimension: 640", "min_dimension: 600")
    found = read(published[:start] + oblong + published[end:], tmp_path)
    assert found.changed[0] == "input 600x640 → 640x640 px"


def test_a_cosine_that_was_stopped_early_ends_with_the_training_which_is_said(tmp_path: Path):
    rate = "cosine_decay_learning_rate { learning_rate_base: .04 total_steps: 30000 warmup_steps: 10 }"
    found = read(
        with_training(f"optimizer {{ momentum_optimizer {{ learning_rate {{ {rate} }} }} }}"), tmp_path
    )
    assert found.recipe.schedule.warmup == 0.1
    assert "cosine over 30,000 steps → over the 100 steps of the training" in found.changed


def test_drops_of_the_rate_after_the_end_are_left_out(tmp_path: Path):
    drops = " ".join(f"schedule {{ step: {step} learning_rate: .001 }}" for step in (50, 900))
    rate = f"manual_step_learning_rate {{ initial_learning_rate: .01 {drops} }}"
    found = read(with_training(f"optimizer {{ adam_optimizer {{ learning_rate {{ {rate} }} }} }}"), tmp_path)
    assert [(drop.at, drop.factor) for drop in found.recipe.schedule.drops] == [(0.5, 0.1)]
    assert "without 1 drops of the rate after step 100" in found.changed


def test_a_drop_of_the_rate_at_step_0_is_the_rate_from_the_beginning(tmp_path: Path):
    drops = "schedule { step: 0 learning_rate: .004 } schedule { step: 50 learning_rate: .001 }"
    rate = f"manual_step_learning_rate {{ initial_learning_rate: .01 {drops} }}"
    found = read(with_training(f"optimizer {{ adam_optimizer {{ learning_rate {{ {rate} }} }} }}"), tmp_path)
    assert [found.recipe.schedule.rate(step, 100) for step in (0, 49, 50)] == [0.004, 0.004, 0.001]
    assert "initial_learning_rate 0.01 → 0.004, the rate from step 0" in found.changed
    assert not [phrase for phrase in found.changed if phrase.startswith("without")]


def test_a_warm_up_from_above_the_base_rate_begins_at_the_base_rate_which_is_said(tmp_path: Path):
    rate = (
        "cosine_decay_learning_rate { learning_rate_base: .001 total_steps: 100 "
        "warmup_learning_rate: .013333 warmup_steps: 10 }"
    )
    found = read(
        with_training(f"optimizer {{ momentum_optimizer {{ learning_rate {{ {rate} }} }} }}"), tmp_path
    )
    assert found.recipe.schedule.warmup_rate == 0.001
    assert "warmup_learning_rate 0.013333 → 0.001, the base rate" in found.changed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train_config {", ':1: not a pipeline.config: Expected "}".'),
        ("model { yolo {} }", ":1: unknown model 'yolo'; known are ssd, faster_rcnn"),
        ("model { center_net {} }", ": unknown model 'center_net'; known feature extractors are ssd_"),
        ("", ": unknown model 'none'; known feature extractors are"),
        ('model { ssd { feature_extractor { type: "ssd_mobilenet_v1" } } }', ": unknown model 'ssd_mobilenet_v1'"),
        (
            with_training(f"{MOMENTUM} data_augmentation_options {{ mosaic {{}} }}"),
            "unknown augmentation 'mosaic'; known are normalize_image",
        ),
        (with_training("optimizer { sgd {} }"), "unknown optimizer 'sgd'; known are momentum_optimizer"),
        (with_training(""), ": train_config.optimizer: is missing; known are momentum_optimizer"),
        (
            with_training("optimizer { adam_optimizer {} }"),
            ": train_config.optimizer.adam_optimizer.learning_rate: is missing",
        ),
        (
            with_training(
                "optimizer { adam_optimizer { learning_rate { manual_step_learning_rate { "
                "initial_learning_rate: 0 schedule { step: 50 learning_rate: .001 } } } } }"
            ),
            "schedule.base: must be greater than 0, not 0.0",
        ),
        (with_training(f"{MOMENTUM} epochs: 3"), "the API's TrainConfig has no field 'epochs'"),
    ],
)  # fmt: skip
def test_what_is_not_known_here_is_named(text: str, message: str, tmp_path: Path):
    assert message in refusal(text, tmp_path)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"missing\.config: cannot be read: No such file or directory$"):
        recipe.read_any(tmp_path / "missing.config")
    (tmp_path / "saved.config").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"saved\.config: is not a text file$"):
        recipe.read_any(tmp_path / "saved.config")
