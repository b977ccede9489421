"""The contract of a model, held by every registered one; and what registration refuses."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any

import pytest
from pydantic import Field

from trainers import model as models
from trainers import recipe as recipes
from trainers import task as tasks
from trainers.detection.task import Detection
from trainers.errors import UserError
from trainers.model import Cost, Model
from trainers.recipe import Recipe

LEARNS: dict[str, Any] = {
    "image_size": 8, "batch_size": 2, "steps": 50, "optimizer": {"kind": "adam"},
    "schedule": {"kind": "constant", "base": 0.01},
}  # fmt: skip


# of this project; other tests may have registered more
OURS = [name for name, each in models.all_models().items() if each.trainer.startswith("trainers.")]


class OwnRecipe(Recipe):
    """With a field of its own."""

    depth: int = Field(default=3, ge=1, le=9)


OWN = Model(
    name="mine", title="Mine", task="detection", trainer="my_package.trainer:make", recipe=OwnRecipe,
    presets={"laptop": LEARNS | {"depth": 4}}, min_image_size=8, image_size_multiple=4,
    graph_fields=("image_size", "depth"),
)  # fmt: skip


@pytest.fixture(params=OURS)
def model(request) -> Model:
    return models.get(request.param)


@pytest.fixture
def registered(monkeypatch) -> None:
    """What a test registers is known in that test alone."""
    models.all_models()
    monkeypatch.setattr(models, "_registered", dict(models._registered))
    monkeypatch.setattr(tasks, "_registered", dict(tasks._registered))


def line(refused: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_its_names_its_task_and_its_factories_are_there(model):
    assert models.get(model.name) is model
    assert model.title
    assert model.published_at
    assert tasks.get(model.task).name == model.task
    for factory in filter(None, (model.trainer, model.initial_weights, model.published_weights)):
        module, _, name = factory.partition(":")
        assert importlib.util.find_spec(module) is not None
        assert name.isidentifier()


def test_its_presets_are_recipes_of_its_own_class_that_survive_yaml(model, tmp_path):
    assert "laptop" in model.presets
    for preset, fields in model.presets.items():
        made = recipes.build({"model": model.name, **fields}, where=preset)
        assert type(made) is model.recipe
        (tmp_path / "recipe.yaml").write_text(made.to_yaml())
        again = recipes.read(tmp_path / "recipe.yaml")
        assert (again, again.recipe_id) == (made, made.recipe_id)


def test_recipes_with_one_graph_are_told_from_others_by_its_graph_fields(model):
    assert set(model.graph_fields) <= set(model.recipe.model_fields)
    laptop = recipes.build({"model": model.name, **model.presets["laptop"]})
    key = recipes.graph_key(laptop.to_dict())
    assert recipes.graph_key(laptop.replace(seed=99, steps=7).to_dict()) == key
    larger = laptop.image_size + model.image_size_multiple
    assert recipes.graph_key(laptop.replace(image_size=larger).to_dict()) != key


def test_its_cost_is_known_and_falls_with_more_cores(model):
    cost = model.cost
    assert cost.parameters > 0
    seconds = [cost.step_seconds(cost.pixels, cpus) for cpus in (1, 2, 4)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] == pytest.approx(cost.cpu_step_seconds)
    assert cost.step_seconds(2 * cost.pixels, 1) == pytest.approx(2 * seconds[0])


def test_of_a_model_of_unknown_cost_no_time_is_told():
    assert Cost().step_seconds(1000, 2) is None


@pytest.mark.usefixtures("registered")
def test_a_member_joins_by_being_registered():
    assert models.register(OWN) is OWN is models.get("mine")
    assert models.register(OWN) is OWN  # its module may be imported again
    made = recipes.build({"model": "mine", **OWN.presets["laptop"]})
    assert isinstance(made, OwnRecipe)
    assert made.depth == 4
    assert recipes.graph_key(made.to_dict()) == ("mine", 8, 4)
    assert made.replace(depth=5).recipe_id != made.recipe_id
    assert models.modules_of(["mine", "mobilenet"]) == ("my_package.trainer",)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"depth": 10}, "recipe: depth: must be less than or equal to 9, not 10"),
        ({"l2": 0.1}, "recipe: l2: is unknown; known are model, image_size, "),
        (
            {"image_size": 6},
            "recipe: mine needs an image size of at least 8 px and a multiple of 4, not 6; try 8",
        ),
        ({"model": "mobilenet", "image_size": 160}, "recipe: depth: is unknown; known are model, "),
    ],
)
def test_a_models_own_fields_are_its_own(fields, says):
    models.register(OWN)
    with pytest.raises(UserError) as refused:
        recipes.build({"model": "mine", "depth": 4, **LEARNS} | fields)
    assert line(refused).startswith(says)


@pytest.mark.usefixtures("registered")
def test_two_models_of_one_name_are_refused():
    models.register(OWN)
    with pytest.raises(UserError) as refused:
        models.register(dataclasses.replace(OWN, title="Another"))
    assert line(refused) == "two models are called 'mine'; rename one of them"
    with pytest.raises(UserError) as refused:
        models.register(dataclasses.replace(OWN, name="retinanet"))
    assert line(refused) == "two models are called 'retinanet'; rename one of them"
    assert models.get("mine") is OWN


class Seeded(Recipe):
    """Says anew what every recipe has."""

    seed: int = 1


class DeeperSeeded(Seeded):
    """Inherits what clashes."""

    depth: int = 3


class WithDetector(Recipe):
    """Has a field that recipes of earlier versions had for the model's name."""

    detector: str = "mine"


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("recipe", "field"), [(Seeded, "seed"), (DeeperSeeded, "seed"), (WithDetector, "detector")]
)
def test_an_own_recipe_field_with_the_name_of_a_shared_one_is_refused(recipe, field):
    with pytest.raises(UserError) as refused:
        models.register(dataclasses.replace(OWN, recipe=recipe))
    assert (
        line(refused) == f"model 'mine': its recipe field '{field}' is already a field of Recipe; rename it"
    )
    assert "mine" not in models.all_models()


def test_an_unknown_model_is_refused_with_the_known():
    known = f"known are {', '.join(models.all_models())}"
    assert "retinanet, mobilenet, efficientdet" in known
    with pytest.raises(UserError) as refused:
        models.get("yolo")
    assert line(refused) == f"unknown model 'yolo'; {known}"
    with pytest.raises(UserError) as refused:
        recipes.build({"model": "yolo", **LEARNS}, where="recipe.yaml")
    assert line(refused) == f"recipe.yaml: model: unknown model 'yolo'; {known}"


@pytest.mark.parametrize("name", [None, 7, ["mobilenet"]])
def test_a_model_that_is_no_word_is_refused(name):
    with pytest.raises(UserError) as refused:
        recipes.build({"model": name, **LEARNS})
    assert line(refused).startswith("recipe: model: must be a valid string")


def test_an_unknown_task_is_refused_with_the_known():
    with pytest.raises(UserError) as refused:
        tasks.get("pose")
    assert line(refused).startswith("unknown task 'pose'; known are ")
    assert "detection, " in line(refused)


@pytest.mark.usefixtures("registered")
def test_two_tasks_of_one_name_are_refused_and_a_new_one_joins():
    class Other(Detection):
        """Another task of that name."""

    with pytest.raises(UserError) as refused:
        tasks.register(Other())
    assert line(refused) == "two tasks are called 'detection'; rename one of them"

    class Pose(Detection):
        """A task of its own."""

        name = "pose"

    made = Pose()
    assert tasks.register(made) is made is tasks.get("pose")
    assert tasks.register(Pose()) is made  # its module may be imported again
    with pytest.raises(UserError, match=r"known are (.*, )?detection, (.*, )?pose, segmentation$"):
        tasks.get("tracking")
