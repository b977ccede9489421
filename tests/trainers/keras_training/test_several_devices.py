"""A step on two devices is the step on one: the same losses, gradients and moving averages, but for rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainers import model as models
from trainers import recipe as recipes
from trainers.errors import UserError

ROOT = Path(__file__).parents[3]
CHILD = Path(__file__).with_name("stepping_on_devices.py")
SHARING = [name for name, model in models.all_models().items() if model.several_gpus]


def step(what: str) -> dict:
    """Losses with one and with two devices, and how far apart gradients and moving averages are."""
    done = subprocess.run(
        [sys.executable, str(CHILD), what], env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["two"] == pytest.approx(found["one"], rel=1e-5)
    return found["apart"]


@pytest.mark.slow(20)
def test_unequal_shares_batch_normalisation_and_dropped_images_over_both_devices():
    apart = step("small")
    assert apart["gradients"] < 1e-5
    assert apart["moving"] < 1e-6


@pytest.mark.long
def test_a_detector_whose_loss_is_of_the_whole_batch(tiny_recipe):
    recipe = tiny_recipe.replace(batch_size=3, freeze_batch_norm=True)
    assert step(json.dumps(recipe.to_dict()))["gradients"] < 1e-5


@pytest.mark.long
@pytest.mark.parametrize("name", SHARING)
def test_every_model_that_says_so_takes_the_step_of_one_on_two_devices(name):
    recipe = recipes.build({**models.get(name).presets["laptop"], "model": name, "batch_size": 2})
    apart = step(json.dumps(recipe.to_dict()))
    # a new detector's gradients say nothing: those of TensorFlow's batch normalisation and of its formula differ by 3%
    assert apart.get("moving", 0.0) < 1e-5


@pytest.mark.parametrize(
    ("gpus", "model", "xla", "says"),
    [
        (1.5, "mobilenet", False, "--gpus 1.5: give a whole number of GPUs, or a fraction below 1"),
        (2, "mobilenet", True, "--xla compiles a step for one GPU; leave it out with --gpus 2"),
        (2, "faster_rcnn_50", False, "--gpus 2: faster_rcnn_50 trains on one GPU; more GPUs train more trials at once"),
    ],
)  # fmt: skip
def test_what_several_gpus_cannot_do_is_refused(gpus, model, xla, says):
    with pytest.raises(UserError) as refused:
        models.check_gpus([model], gpus, "--gpus", xla)
    assert str(refused.value) == says


def test_one_gpu_a_part_of_one_and_several_that_share_a_step_are_allowed():
    for gpus in (0, 0.4, 1):
        models.check_gpus(models.all_models(), gpus, "--gpus", xla=True)
    models.check_gpus(SHARING, 4, "--gpus")
