"""What is expensive to build and shared: one tiny city and one trainer on it for the whole session."""

from __future__ import annotations

import pytest

from trainers import recipe as recipes
from trainers.datasets.toy_city.generating import open_toy_city
from trainers.datasets.toy_city.scenes import ToyCity
from trainers.recipe import Recipe


@pytest.fixture(scope="session")
def tiny_city(tmp_path_factory: pytest.TempPathFactory):
    return open_toy_city(ToyCity(train_images=12, validation_images=5), tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """The cheapest trial that is a real one: about a tenth of a second a step."""
    return recipes.build({
        "model": "mobilenet",
        "image_size": 160,
        "batch_size": 2,
        "steps": 20,
        "optimizer": {"kind": "momentum", "momentum": 0.9},
        "schedule": {"kind": "cosine", "base": 0.02, "warmup": 0.2, "warmup_rate": 0.002},
        "augmentations": [
            {"name": "random_horizontal_flip"},
            {"name": "random_crop_image", "options": {"min_object_covered": 0.0, "min_area": 0.5}},
            {"name": "random_adjust_brightness", "options": {"max_delta": 0.2}},
        ],
        "batch_norm_decay": 0.9,
        "seed": 7,
    })  # fmt: skip


@pytest.fixture(scope="session")
def trainer(tiny_city):
    """A DetectorTrainer that many tests share, as a warm worker is shared by many trials."""
    from trainers.object_detection_api.trainer import DetectorTrainer

    return DetectorTrainer(tiny_city)
