"""A simulation that searches its recipe anew every second cycle, with the trainer of test_simulating."""

from __future__ import annotations

import pytest
from dice_trainer import DiceTrainer
from made_data import write

from trainers import model as models
from trainers import recipe as recipes
from trainers.datasets.opening import open_dataset
from trainers.detection.task import DETECTION
from trainers.errors import TrialFailed, UserError
from tuning.active import curves, report, running, training
from tuning.active.recipe_search import candidates, recipe_so_far, space_of
from tuning.active.report import Reported
from tuning.active.simulation import Simulation, Step
from tuning.active.training import Job

OBJECTIVE = DETECTION.objective(None, ())
RECIPE = recipes.build({"model": "mobilenet", **models.get("mobilenet").presets["laptop"]}).replace(steps=2)


class PickyTrainer(DiceTrainer):
    """Whose mAP is the better the nearer the learning rate is to .01; a rate above .05 diverges."""

    def evaluate(self, images=None):
        rate = self._recipe.schedule.base
        if rate > 0.05:
            raise TrialFailed("the loss is nan")
        found = super().evaluate(images)
        better = {
            "mAP": found.values["mAP"] - abs(rate - 0.01),
            "mAP50": found.values["mAP50"] - abs(rate - 0.01),
        }
        return type(found)(found.step, {**found.values, **better}, found.losses, found.images, found.seconds)


def simulation_of(folder, data: str, every: int = 2, fine_tune: bool = False) -> Simulation:
    names = ("entropy", "random")
    return Simulation(folder / "active-d", data, RECIPE, names, 1, 4, 4, 3, None, fine_tune, 5, every, 4)


@pytest.fixture(scope="module", params=[False, True], ids=["anew", "fine-tuned"])
def made(request, tmp_path_factory):
    """Its job, done."""
    folder = tmp_path_factory.mktemp("searched")
    dataset = open_dataset(str(write(folder / "d")), folder / "data")
    simulation = simulation_of(folder, dataset.fingerprint, fine_tune=request.param)
    simulation.begin()
    job = Job(simulation, dataset, {}, "test_recipe_search:PickyTrainer")
    for step in simulation.steps():
        training.train(job, step)
        training.clean(simulation, step)
    return job


@pytest.mark.slow(6)
def test_a_search_is_due_in_every_second_cycle_and_its_best_recipe_trains_the_next(made):
    done = running.finished(made.simulation)
    searched = {str(step) for step, found in done.items() if found.recipe is not None}
    assert searched == {"start, seed 0, cycle 0", "entropy, seed 0, cycle 2", "random, seed 0, cycle 2"}
    first = recipes.build(dict(done[Step(0, None, 0)].recipe))
    assert recipe_so_far(made.simulation, Step(0, "entropy", 1)) == first
    second = recipes.build(dict(done[Step(0, "entropy", 2)].recipe))
    assert recipe_so_far(made.simulation, Step(0, "entropy", 3)) == second


@pytest.mark.slow(1)
def test_the_best_of_the_candidates_is_taken_and_all_that_they_took_is_counted(made):
    done = running.finished(made.simulation)
    start = Step(0, None, 0)
    tried = [recipe.schedule.base for recipe in candidates(made.simulation, start, OBJECTIVE)]
    nearest = min(tried, key=lambda rate: abs(rate - 0.01))
    assert done[start].recipe["schedule"]["base"] == pytest.approx(nearest)
    assert done[start].seconds_training == pytest.approx(4 * done[Step(0, "entropy", 1)].seconds_training)


@pytest.mark.slow(1)
def test_the_report_says_that_points_with_a_search_are_the_best_of_several(made):
    done = running.finished(made.simulation)
    found = curves.of_outcomes(made.simulation, done, "mAP50")
    page, *_ = report.write(Reported(made.simulation, done, found, "random", "mAP50"))
    assert "every 2 cycles the recipe is the best of 4" in page.read_text()


def test_strategies_of_a_seed_have_the_same_candidates_but_for_the_recipe_so_far(tmp_path):
    simulation = simulation_of(tmp_path, "d")
    start = candidates(simulation, Step(0, None, 0), OBJECTIVE)
    assert start[0] == RECIPE
    assert len({recipe.recipe_id for recipe in start}) == 4
    assert [recipe.recipe_id for recipe in candidates(simulation, Step(0, None, 0), OBJECTIVE)] == [
        recipe.recipe_id for recipe in start
    ]
    assert all(
        (each.steps, each.image_size, each.batch_size) == (2, 160, RECIPE.batch_size) for each in start
    )


def test_without_it_nothing_is_searched(tmp_path):
    simulation = simulation_of(tmp_path, "d", every=0)
    assert candidates(simulation, Step(0, None, 0), OBJECTIVE) == [RECIPE]


def test_a_simulation_goes_on_only_with_the_same_search(tmp_path):
    simulation_of(tmp_path, "d").begin()
    with pytest.raises(
        UserError, match=r"was begun with another search-every \(2, not 3\); give another --name$"
    ):
        simulation_of(tmp_path, "d", every=3).begin()
    with pytest.raises(UserError, match=r"was begun with another search-every \(2, not 0\)"):
        simulation_of(tmp_path, "d", every=0).begin()


def test_a_model_without_a_space_of_its_own_is_refused():
    class Unknown:
        model = "none_such"

    with pytest.raises(UserError, match="no space searches none_such alone"):
        space_of(Unknown())
