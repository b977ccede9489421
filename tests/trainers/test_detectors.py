import subprocess
import sys

import pytest
from zoo_variables import published_variables

from trainers import model as models
from trainers import recipe
from trainers.errors import UserError
from trainers.object_detection_api.checkpoints.reading import digest
from trainers.object_detection_api.detector import Detector, detector

NAMES = [name for name, model in models.all_models().items() if isinstance(model, Detector)]
IN_ZOO = [name for name in NAMES if detector(name).zoo_archive]


def test_the_detectors_are_known_by_name():
    assert {"efficientdet", "faster_rcnn_50", "faster_rcnn_101", "mobilenet", "retinanet"} <= set(NAMES)
    with pytest.raises(UserError, match=r"unknown model 'yolo'; known are .*retinanet"):
        models.get("yolo")


def test_knowing_the_detectors_needs_no_tensorflow():
    script = (
        "import sys; from trainers import model, recipe; model.all_models();"
        "import trainers.object_detection_api.pipeline_config, trainers.object_detection_api.checkpoints.weights;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("preset", ["zoo", "laptop"])
def test_its_presets_make_a_recipe(name: str, preset: str):
    fields = models.get(name).presets[preset]
    made = recipe.build({"model": name, **fields})
    assert {field: made.to_dict()[field] for field in ("image_size", "batch_size", "steps")} == {
        field: fields[field] for field in ("image_size", "batch_size", "steps")
    }


@pytest.mark.parametrize(
    ("name", "batch_size", "steps", "base", "warmup_rate", "warmup_steps"),
    [
        ("retinanet", 64, 25_000, 0.04, 0.013333, 2_000),
        ("mobilenet", 128, 50_000, 0.08, 0.026666, 1_000),
        ("efficientdet", 128, 300_000, 0.08, 0.001, 2_500),
        ("faster_rcnn_50", 64, 25_000, 0.04, 0.013333, 2_000),
        ("faster_rcnn_101", 64, 25_000, 0.04, 0.013333, 2_000),
    ],
)
def test_its_zoo_preset_is_the_published_training(
    name: str, batch_size: int, steps: int, base: float, warmup_rate: float, warmup_steps: int
):
    made = recipe.build({"model": name, **models.get(name).presets["zoo"]})
    assert (made.image_size, made.batch_size, made.steps) == (640, batch_size, steps)
    assert made.learning_rate(0) == warmup_rate
    assert made.learning_rate(warmup_steps - 1) < base
    assert made.learning_rate(warmup_steps) == pytest.approx(base)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_size_that_its_pyramid_cannot_take_is_refused_with_one_that_it_can(name: str):
    model = models.get(name)
    smallest, multiple = model.min_image_size, model.image_size_multiple
    for size in (smallest, smallest + multiple, 640):
        model.check_image_size(size)
    for size in (1, smallest - multiple, smallest - 1, smallest + 1, 641):
        with pytest.raises(ValueError, match=f"not {size}; try ") as refused:
            model.check_image_size(size)
        for offered in str(refused.value).rpartition("try ")[2].split(" or "):
            model.check_image_size(int(offered))


@pytest.mark.parametrize("name", IN_ZOO)
def test_it_knows_its_published_checkpoints_variables(name: str):
    known, published = detector(name), published_variables(name)
    assert len(published) == known.zoo_variables
    assert digest(published) == known.zoo_digest
