"""`python -m tuning.active` refuses wrong input in one line and with exit code 2, before anything is trained."""

from __future__ import annotations

import pytest
from made_data import write

from trainers import model as models
from trainers import recipe as recipes
from tuning.active.__main__ import main


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """24 training images."""
    return write(tmp_path_factory.mktemp("made") / "d")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A folder in which the data are converted once."""
    return tmp_path_factory.mktemp("studies")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--batch", "0"], "--batch must be at least 1, not 0"),
        (["--seeds", "0"], "--seeds must be at least 1, not 0"),
        (["--max-steps", "-1"], "--max-steps must be at least 1, not -1"),
        (["--frame-gap", "-1"], "--frame-gap must be 0 or more, not -1"),
        (["--price-per-hour", "nan"], "--price-per-hour must be 0 or more, not nan"),
        (["--candidates", "3"], "--candidates 3 is less than --batch 4"),
        (["--candidates", "11"], "--initial 4 and 2 cycles of --candidates 11 need 26 training images, and d has 24"),
        (["--cycles", "6"], "--initial 4 and 6 cycles of --batch 4 need 28 training images, and d has 24; give smaller"),
        (["--strategy", "best"], "unknown strategy 'best'; known are random, entropy, "),
        (["--strategy", "disagreement"], "needs a second detector, which a simulation does not have"),
        (["--strategy", "random"], "--strategy random is also the --control"),
        (["--metric", "fog"], "--metric 'fog' is unknown; known are mAP, mAP50, "),
        (["--metric", "validation_loss/total"], "--metric 'validation_loss/total' is unknown"),
        (["--recipe", "none.yaml"], "none.yaml: cannot be read"),
        (["--recipe", "r.yaml", "--trial", "street/7"], "give either --recipe or --trial"),
        (["--trial", "street"], "--trial street: is not STUDY/NUMBER"),
        (["--name", "../x"], "--name '../x' is not a valid name"),
        (["--name", "data"], "--name 'data' is not a valid name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_and_no_simulation_is_begun(words, says, data, studies, capsys):
    asked = ["--data", str(data), "--batch", "4", "--cycles", "2", *words]
    assert main([*asked, "--studies-dir", str(studies)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("error: ")
    assert says in said
    assert not [each.name for each in studies.iterdir() if each.name.startswith("active")]


def test_a_recipe_of_another_task_is_refused(data, studies, tmp_path, capsys):
    other = next(each for each in models.all_models().values() if each.task == "segmentation")
    recipe = recipes.build({"model": other.name, **other.presets["laptop"]})
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    words = ["--data", str(data), "--batch", "4", "--cycles", "2", "--recipe", str(tmp_path / "recipe.yaml")]
    assert main([*words, "--studies-dir", str(studies)]) == 2
    assert "is a model of segmentation; active learning needs a detector" in capsys.readouterr().err
