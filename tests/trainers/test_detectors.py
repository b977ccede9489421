import subprocess
import sys

import pytest
from zoo_variables import published_variables

from trainers import detectors, recipe
from trainers.errors import UserError
from trainers.object_detection_api.checkpoints.weights import digest

NAMES = list(detectors.all_detectors())


def test_the_three_detectors_are_known_by_name():
    assert sorted(NAMES) == ["efficientdet", "mobilenet", "retinanet"]
    with pytest.raises(UserError, match=r"unknown detector 'yolo'; known are .*retinanet"):
        detectors.get("yolo")


def test_knowing_the_detectors_needs_no_tensorflow():
    script = (
        "import sys; from trainers import detectors, recipe; detectors.all_detectors();"
        "import trainers.object_detection_api.pipeline_config, trainers.object_detection_api.checkpoints.weights;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("defaults", ["zoo_defaults", "laptop_defaults"])
def test_its_defaults_make_a_recipe(name: str, defaults: str):
    fields = getattr(detectors.get(name), defaults)
    made = recipe.build({"detector": name, **fields})
    assert {field: made.to_dict()[field] for field in ("image_size", "batch_size", "steps")} == {
        field: fields[field] for field in ("image_size", "batch_size", "steps")
    }


@pytest.mark.parametrize(
    ("name", "batch_size", "steps", "base", "warmup_rate", "warmup_steps"),
    [
        ("retinanet", 64, 25_000, 0.04, 0.013333, 2_000),
        ("mobilenet", 128, 50_000, 0.08, 0.026666, 1_000),
        ("efficientdet", 128, 300_000, 0.08, 0.001, 2_500),
    ],
)
def test_its_zoo_defaults_are_the_published_training(
    name: str, batch_size: int, steps: int, base: float, warmup_rate: float, warmup_steps: int
):
    made = recipe.build({"detector": name, **detectors.get(name).zoo_defaults})
    assert (made.image_size, made.batch_size, made.steps) == (640, batch_size, steps)
    assert made.learning_rate(0) == warmup_rate
    assert made.learning_rate(warmup_steps - 1) < base
    assert made.learning_rate(warmup_steps) == pytest.approx(base)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_size_that_its_pyramid_cannot_take_is_refused_with_one_that_it_can(name: str):
    detector = detectors.get(name)
    smallest, multiple = detector.min_image_size, detector.image_size_multiple
    for size in (smallest, smallest + multiple, 640):
        detector.check_image_size(size)
    for size in (1, smallest - multiple, smallest - 1, smallest + 1, 641):
        with pytest.raises(ValueError, match=f"not {size}; try ") as refused:
            detector.check_image_size(size)
        for offered in str(refused.value).rpartition("try ")[2].split(" or "):
            detector.check_image_size(int(offered))


@pytest.mark.parametrize("name", NAMES)
def test_it_knows_its_published_checkpoints_variables(name: str):
    detector, published = detectors.get(name), published_variables(name)
    assert len(published) == detector.zoo_variables
    assert digest(published) == detector.zoo_digest
