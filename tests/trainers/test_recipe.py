import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainers import recipe
from trainers.errors import UserError
from trainers.object_detection_api.detector import DetectorRecipe
from trainers.recipe import Recipe

PLAIN: dict[str, Any] = {
    "model": "mobilenet",
    "image_size": 160,
    "batch_size": 8,
    "steps": 300,
    "optimizer": {"kind": "adam"},
    "schedule": {"kind": "constant", "base": 0.002},
}
FULL: dict[str, Any] = {
    "model": "efficientdet",
    "image_size": 256,
    "batch_size": 4,
    "steps": 1000,
    "optimizer": {"kind": "rms_prop", "momentum": 0.8, "decay": 0.95, "epsilon": 0.1},
    "schedule": {
        "kind": "manual_step",
        "base": 0.01,
        "drops": [{"at": 0.1, "factor": 1.0}, {"at": 0.5, "factor": 0.1}],
        "warmup": True,
    },
    "augmentations": [
        {"name": "random_horizontal_flip"},
        {"name": "random_crop_image", "options": {"min_area": 0.75, "overlap_thresh": 0}},
    ],
    "weights": {"source": "/somewhere/ckpt-0", "part": "full"},
    "averaging": 0.99,
    "gradient_clip": 10,
    "l2": 1e-4,
    "precision": "bfloat16",
    "batch_norm_decay": 0.9,
    "classification_weight": 2.0,
    "localization_weight": 0.5,
    "backbone_rate": 0.1,
    "backbone_frozen": 0.25,
    "freeze_batch_norm": True,
    "flip_test": True,
    "seed": 17,
}

rates = st.floats(1e-6, 10, allow_nan=False)
fractions = st.floats(0, 0.49)
factors = st.floats(1e-4, 0.999)
schedules = st.one_of(
    st.fixed_dictionaries({"kind": st.just("constant"), "base": rates}),
    st.fixed_dictionaries({"kind": st.just("cosine"), "base": rates, "warmup": fractions, "hold": fractions}),
    st.builds(
        lambda base, places, factor: {
            "kind": "manual_step",
            "base": base,
            "drops": [{"at": at, "factor": factor} for at in sorted(places)],
        },
        rates,
        st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True),
        factors,
    ),
    st.fixed_dictionaries(
        {"kind": st.just("exponential"), "base": rates, "every": st.floats(0.01, 1), "factor": factors}
    ),
)
recipes = st.builds(
    lambda changes: recipe.build(PLAIN | changes),
    st.fixed_dictionaries(
        {
            "schedule": schedules,
            "optimizer": st.sampled_from([{"kind": "adam"}, {"kind": "momentum"}, {"kind": "rms_prop"}]),
            "batch_size": st.integers(1, 1024),
            "steps": st.integers(1, 10**6),
            "seed": st.integers(0, 2**31 - 1),
            "averaging": st.none() | st.floats(0.1, 0.99999),
            "l2": st.none() | st.floats(0, 1),
        }
    ),
)


@given(recipes)
def test_a_recipe_is_the_same_after_a_journey_through_yaml(given_recipe: Recipe):
    again = recipe.build(yaml.safe_load(given_recipe.to_yaml()))
    assert again == given_recipe
    assert hash(again) == hash(given_recipe)
    assert again.recipe_id == given_recipe.recipe_id


def test_every_field_survives_yaml_and_pickle(tmp_path: Path):
    full = recipe.build(FULL)
    assert set(FULL) == set(DetectorRecipe.model_fields)
    assert type(full) is DetectorRecipe
    (tmp_path / "recipe.yaml").write_text(full.to_yaml())
    assert recipe.read(tmp_path / "recipe.yaml") == full
    assert pickle.loads(pickle.dumps(full)) == full


def test_a_recipe_written_with_whole_numbers_and_without_defaults_has_the_same_id():
    one = recipe.build(PLAIN | {"gradient_clip": 10, "schedule": {"kind": "constant", "base": 1}})
    other = recipe.build(
        {"gradient_clip": 10.0, "seed": 0, "augmentations": []}
        | PLAIN
        | {"schedule": {"base": 1.0, "kind": "constant"}}
    )
    assert one == other
    assert one.recipe_id == other.recipe_id


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_the_id_is_the_same_in_every_process(seed: str):
    script = f"from trainers import recipe; print(recipe.build({FULL!r}).recipe_id)"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == recipe.build(FULL).recipe_id


def test_the_id_is_the_same_on_every_machine_and_python():
    # studies on disk name their recipes by it; a new field must leave it as it was where it is not asked for
    assert recipe.build(PLAIN).recipe_id == "d663b240464a"
    later = {
        "precision": "float32", "backbone_rate": 1.0, "backbone_frozen": 0.0, "freeze_batch_norm": False,
        "flip_test": False,
    }  # fmt: skip
    assert recipe.build(FULL | later).recipe_id == "b0a7860b863b"


@pytest.mark.parametrize("field", sorted(set(FULL) - {"model"}))
def test_the_id_changes_with_every_field(field: str):
    base = recipe.build(PLAIN | {"model": "efficientdet", "image_size": 384})
    assert base.replace(**{field: FULL[field]}).recipe_id != base.recipe_id


def test_a_recipe_cannot_be_changed_but_replaced():
    plain = recipe.build(PLAIN)
    with pytest.raises(ValidationError):
        plain.seed = 1
    assert plain.replace(seed=1).seed == 1
    with pytest.raises(UserError, match="steps: must be greater than 0, not 0"):
        plain.replace(steps=0)


def test_its_learning_rate_is_its_schedules():
    full = recipe.build(FULL)
    assert [full.learning_rate(step) for step in (0, 50, 100, 499, 500)] == [0, 0.005, 0.01, 0.01, 0.001]


WRONG = [
    ({"model": "yolo"}, "model: unknown model 'yolo'; known are retinanet, mobilenet, efficientdet"),
    (
        {"image_size": 100},
        "mobilenet needs an image size of at least 160 px and a multiple of 32, not 100; try 160",
    ),
    (
        {"image_size": 300},
        "mobilenet needs an image size of at least 160 px and a multiple of 32, not 300; try 288 or 320",
    ),
    ({"image_size": 5000}, "image_size: must be less than or equal to 4096, not 5000"),
    ({"batch_size": 0}, "batch_size: must be greater than 0, not 0"),
    ({"steps": "many"}, "steps: must be a valid integer, unable to parse string as an integer, not 'many'"),
    ({"steps": 1.5}, "steps: must be a valid integer, got a number with a fractional part, not 1.5"),
    (
        {"optimizer": {"kind": "sgd"}},
        "optimizer: its kind must be one of 'momentum', 'adam', 'adamw', 'rms_prop', not 'sgd'",
    ),
    ({"optimizer": {}}, "optimizer: its kind is missing"),
    ({"optimizer": {"kind": "adam", "momentum": 0.9}}, "optimizer.momentum: is unknown"),
    ({"optimizer": {"kind": "momentum", "momentum": 1}}, "optimizer.momentum: must be less than 1, not 1"),
    ({"optimizer": {"kind": "rms_prop", "epsilon": 0}}, "optimizer.epsilon: must be greater than 0, not 0"),
    (
        {"schedule": {"kind": "constant", "base": float("nan")}},
        "schedule.base: must be a finite number, not nan",
    ),
    ({"schedule": {"kind": "constant"}}, "schedule.base: is missing"),
    (
        {"schedule": {"kind": "cosine", "base": 0.1, "warmup_rate": 0.2}},
        "schedule: warmup_rate 0.2 must not exceed base 0.1",
    ),
    (
        {"augmentations": [{"name": "flip"}]},
        "augmentations.0: unknown augmentation 'flip'; known are normalize_image, ",
    ),
    (
        {
            "augmentations": [
                {"name": "rgb_to_gray"},
                {"name": "random_rgb_to_gray", "options": {"probability": 2}},
            ]
        },
        "augmentations.1: random_rgb_to_gray: probability must be a number in [0, 1], not 2",
    ),
    ({"augmentations": "flip"}, "augmentations: must be a valid tuple, not 'flip'"),
    (
        {"weights": {"part": "head"}},
        "weights.part: must be 'classification', 'detection', 'boxes' or 'full', not 'head'",
    ),
    ({"averaging": 1}, "averaging: must be less than 1, not 1"),
    ({"gradient_clip": 0}, "gradient_clip: must be greater than 0, not 0"),
    ({"gradient_clip": float("inf")}, "gradient_clip: must be a finite number, not inf"),
    ({"l2": -1}, "l2: must be greater than or equal to 0, not -1"),
    ({"precision": "float16"}, "precision: must be 'float32' or 'bfloat16', not 'float16'"),
    ({"batch_norm_decay": 1.5}, "batch_norm_decay: must be less than 1, not 1.5"),
    ({"classification_weight": 0}, "classification_weight: must be greater than 0, not 0"),
    ({"localization_weight": 1001}, "localization_weight: must be less than or equal to 1000, not 1001"),
    ({"backbone_rate": 2}, "backbone_rate: must be less than or equal to 1, not 2"),
    ({"backbone_frozen": 1}, "backbone_frozen: must be less than 1, not 1"),
    ({"freeze_batch_norm": "half"}, "freeze_batch_norm: must be a valid boolean"),
    ({"flip_test": "half"}, "flip_test: must be a valid boolean"),
    ({"seed": -1}, "seed: must be greater than or equal to 0, not -1"),
    ({"learning_rate": 0.1}, "learning_rate: is unknown; known are model, image_size, "),
    ({"batch_size": 0, "seed": -1}, "batch_size: must be greater than 0, not 0 (and 1 more)"),
]


@pytest.mark.parametrize(("changes", "says"), WRONG)
def test_a_wrong_field_is_refused_in_one_line_that_says_what_is_allowed(changes: dict[str, Any], says: str):
    with pytest.raises(UserError) as refused:
        recipe.build(PLAIN | changes, where="recipe.yaml")
    message = str(refused.value)
    assert message.startswith(f"recipe.yaml: {says}")
    assert "\n" not in message


@pytest.mark.parametrize("field", sorted(PLAIN))
def test_a_missing_field_is_named(field: str):
    with pytest.raises(UserError, match=f"^recipe: {field}: is missing$"):
        recipe.build({name: value for name, value in PLAIN.items() if name != field})


def test_every_field_has_a_wrong_value_in_these_tests():
    assert {name for changes, _ in WRONG for name in changes} >= set(DetectorRecipe.model_fields)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (b"- a\n- b\n", "not a recipe (a mapping of fields"),
        (b"model: [", "cannot be read as a recipe"),
        (b"\xff\xfe", "is not a text file"),
        (b"model: mobilenet\n", "image_size: is missing"),
        (b"detector: mobilenet\n", "image_size: is missing"),
        (
            b"detector: retinanet\nmodel: mobilenet\n",
            "detector: is the former name of model, which is given too",
        ),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_its_name(tmp_path: Path, contents: bytes, says: str):
    file = tmp_path / "recipe.yaml"
    file.write_bytes(contents)
    with pytest.raises(UserError) as refused:
        recipe.read(file)
    assert str(refused.value).startswith(f"{file}: {says}")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"no\.yaml: cannot be read: No such file or directory$"):
        recipe.read(tmp_path / "no.yaml")
