"""--recipe: somebody's recipe is the first trial, adapted to the space; what had to change is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from zoo_variables import published_config

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers.errors import UserError
from trainers.recipe import InitialWeights
from tuning.api.recipes import first
from tuning.run import main

SPACE = search_spaces.get("mobilenet")
CONDITIONS = Conditions(steps=200, image_size=320, weights=InitialWeights(source="zoo", part="boxes"))
RATE = "cosine_decay_learning_rate { learning_rate_base: .04 total_steps: 5000 warmup_steps: 500 }"
TRAINING = f"""
train_config {{
  batch_size: 16
  num_steps: 5000
  data_augmentation_options {{ random_horizontal_flip {{}} }}
  data_augmentation_options {{ random_vertical_flip {{}} }}
  optimizer {{
    momentum_optimizer {{ learning_rate {{ {RATE} }} }}
    use_moving_average: false
  }}
}}
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.config"
    path.write_text(published_config("mobilenet") + TRAINING)
    return path


def test_it_is_adapted_to_the_search_and_what_had_to_change_is_said(theirs: Path):
    seed, said = first.read(theirs, SPACE).first_trial(SPACE, CONDITIONS)
    made = SPACE.replay(seed.params, CONDITIONS).recipe
    assert (made.image_size, made.steps, made.batch_size) == (320, 200, 8)
    assert made.schedule.base == 0.02  # half the batch, half the rate
    assert made.schedule.warmup == pytest.approx(0.1)
    assert [each.name for each in made.augmentations] == ["random_horizontal_flip"]
    assert seed.provenance == {"name": "pipeline.config", "source": str(theirs)}
    for change in (
        "image_size 640 → 320",
        "steps 5000 → 200",
        "batch 16 → 8",
        "learning rate 0.04 → 0.02 (scaled with the batch)",
        "without random_vertical_flip",
    ):
        assert change in said


def test_a_recipe_that_fits_is_unchanged_but_for_what_is_not_the_same_for_all_trials(tmp_path: Path):
    seed, _ = first.read(_written(tmp_path, SPACE), SPACE).first_trial(SPACE, CONDITIONS)
    again = SPACE.replay(seed.params, CONDITIONS).recipe
    assert again == SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe
    assert first.read(tmp_path / "recipe.yaml", SPACE).first_trial(SPACE, CONDITIONS)[1].endswith("nothing")


def _written(folder: Path, space: Space) -> Path:
    recipe = space.replay(space.seeds(CONDITIONS)[0].params, CONDITIONS).recipe
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    return folder / "recipe.yaml"


def test_its_checkpoint_is_that_of_the_search_unless_weights_says_otherwise(theirs: Path, tmp_path: Path):
    checkpoint = tmp_path / "mine" / "ckpt-7"
    theirs.write_text(
        theirs.read_text().replace("train_config {", f"train_config {{ fine_tune_checkpoint: '{checkpoint}'")
    )
    everything = search_spaces.get("all")
    gone = first.read(theirs, SPACE)
    assert gone.weights("auto", SPACE) == "auto"
    assert (
        f"fine_tune_checkpoint {checkpoint} (not on this machine)" in gone.first_trial(SPACE, CONDITIONS)[1]
    )
    checkpoint.parent.mkdir()
    Path(f"{checkpoint}.index").touch()
    here = first.read(theirs, SPACE)
    assert here.weights("auto", SPACE) == str(checkpoint)
    assert [here.weights(asked, SPACE) for asked in ("none", "zoo")] == ["none", "zoo"]
    assert here.weights("auto", everything) == "auto"  # others cannot start from it
    asked = Conditions(steps=200, weights=InitialWeights(source=str(checkpoint), part="boxes"))
    assert "weights" not in here.first_trial(SPACE, asked)[1]
    assert f"weights {checkpoint} → zoo" in here.first_trial(SPACE, CONDITIONS)[1]


def test_a_search_starts_from_the_checkpoint_of_its_recipe(theirs: Path, tmp_path: Path, capsys):
    checkpoint = tmp_path / "mine" / "ckpt-7"
    checkpoint.parent.mkdir()
    Path(f"{checkpoint}.index").write_bytes(b"damaged")
    theirs.write_text(
        theirs.read_text().replace("train_config {", f"train_config {{ fine_tune_checkpoint: '{checkpoint}'")
    )
    command = ["--space", "mobilenet", "--recipe", str(theirs), "--studies-dir", str(tmp_path / "studies")]
    assert main([*command, "--trials", "1"]) == 2
    assert f"{checkpoint}: cannot be read as a checkpoint" in capsys.readouterr().err
    assert main([*command, "--dry-run"]) == 0
    assert "weights" not in capsys.readouterr().out.partition("changed:")[2].splitlines()[0]


def test_a_recipe_of_another_model_is_refused(theirs: Path):
    with pytest.raises(UserError, match="is of mobilenet, which --space retinanet does not search"):
        first.read(theirs, search_spaces.get("retinanet"))
    assert first.read(theirs, search_spaces.get("all"))


def test_an_optimizer_that_the_space_does_not_have_is_refused(theirs: Path):
    only = Conditions(steps=200, only=(("optimizer", ("adam",)),))
    with pytest.raises(UserError, match=r"^--recipe .*: 'momentum' is not one of adam"):
        first.read(theirs, SPACE).first_trial(SPACE, only)


def test_a_dry_run_says_what_would_change(theirs: Path, tmp_path: Path, capsys):
    code = main(
        ["--space", "mobilenet", "--recipe", str(theirs), "--dry-run", "--studies-dir", str(tmp_path)]
    )
    assert code == 0
    assert (
        "recipe   pipeline.config is the first trial; changed: image_size 640 → 160"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [("model { yolo {} }", "unknown model 'yolo'"), (None, "cannot be read")],
)
def test_a_file_that_is_no_recipe_ends_the_command_with_one_line(
    content: str | None, message: str, tmp_path: Path, capsys
):
    path = tmp_path / "their.config"
    if content is not None:
        path.write_text(content)
    code = main(["--space", "mobilenet", "--recipe", str(path), "--studies-dir", str(tmp_path / "studies")])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert message in error
    assert not (tmp_path / "studies").exists()
