"""The forecast: how many trials each kind of budget buys, and where its speeds are known from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from searches import about, search_of
from test_search import rung

from tuning.api.forecast import speed
from tuning.api.forecast.plan import lines, plan
from tuning.api.forecast.speed import COLD_SECONDS, Speed, from_table, known
from tuning.execution.environment import note_hardware
from tuning.run import main
from tuning.search.limits.budget import Budget
from tuning.search.limits.expectation import expected
from tuning.search.schedulers.halving import Halving
from tuning.study.spent import Price
from tuning.study.study import Study

OLD = Path(__file__).parents[1] / "old_studies"
PIXELS = {"mobilenet": 160 * 160 * 8}
MEASURED = {"mobilenet": Speed(0.5, 4.0, 20.0, "as measured in this study")}
HALVING = Halving((30, 90), mode="promote")


def by_table(pixels: dict[str, int], workers: int = 1, cpus: float = 2, **limits: object):
    speeds = {model: from_table(model, count, cpus) for model, count in pixels.items()}
    return plan(Halving((30, 90)), Budget(**limits), speeds, workers, 10)


def test_it_finds_how_many_trials_a_budget_buys():
    fixed = by_table(PIXELS, trials=20)
    assert fixed.trials == 20
    assert fixed.steps < 20 * 90
    like = by_table(PIXELS, trainings=5)
    assert like.steps <= 5 * 90
    assert by_table(PIXELS, trials=like.trials + 1).steps > 5 * 90
    timed = by_table(PIXELS, seconds=3600)
    assert timed.seconds <= 3600
    assert by_table(PIXELS, trials=timed.trials + 1).seconds > 3600
    assert by_table(PIXELS, seconds=1).trials == 1


@pytest.mark.parametrize("limits", [{"gpu_hours": 2}, {"cost": 6, "price": Price(3)}])
def test_gpu_hours_and_cost_buy_what_all_workers_take(limits):
    found = plan(HALVING, Budget(**limits), MEASURED, 4, 10, gpus=0.5)
    assert found.seconds * 4 * 0.5 <= 2 * 3600
    more = plan(HALVING, Budget(trials=found.trials + 3), MEASURED, 4, 10, gpus=0.5)
    assert more.seconds * 4 * 0.5 > 2 * 3600


def test_the_smallest_of_several_limits_counts():
    assert plan(HALVING, Budget(trials=4, seconds=9000), MEASURED, 1, 10).trials == 4
    assert plan(HALVING, Budget(trials=400, seconds=900), MEASURED, 1, 10).seconds <= 900


def test_hours_of_a_gpu_whose_speed_is_unknown_promise_one_trial():
    speeds = {"mobilenet": from_table("mobilenet", PIXELS["mobilenet"], 2)}
    found = plan(HALVING, Budget(gpu_hours=10), speeds, 1, 10, gpus=1.0)
    assert (found.trials, found.seconds) == (1, None)
    assert "time     unknown before the first trial" in lines(found)


def test_a_trial_of_a_higher_bracket_trains_past_the_first_rungs_without_an_evaluation():
    halving = Halving((10, 30, 90), mode="promote", brackets=3)
    of = [[trial for trial in range(60) if halving.bracket(trial) == bracket] for bracket in range(3)]
    arrivals, evaluations = expected(halving, 60)
    assert arrivals[0] == 60
    assert arrivals[1] == len(of[0]) // 3 + len(of[1]) + len(of[2])
    assert evaluations == sum(arrivals) - len(of[1]) - 2 * len(of[2])
    alone = expected(Halving((10, 30, 90), mode="promote"), 60)
    assert alone == ((60, 20, 6), 86)


def test_each_model_counts_at_its_own_size_and_batch_and_has_a_graph_to_build():
    small, large = PIXELS, {"efficientdet": 256 * 256 * 4}
    alone = [by_table(pixels, trials=9).seconds for pixels in (small, large)]
    assert by_table(small | large, trials=9).seconds == pytest.approx(sum(alone) / 2 + COLD_SECONDS)


def test_two_workers_on_a_core_each_take_less_than_one_on_both():
    def seconds(model: str, workers: int, cpus: int) -> float:
        return by_table({model: PIXELS["mobilenet"]}, workers, cpus, trials=9).seconds - COLD_SECONDS

    assert seconds("mobilenet", 2, 1) < 0.75 * seconds("mobilenet", 1, 2)
    assert seconds("retinanet", 2, 1) == pytest.approx(seconds("retinanet", 1, 2), rel=0.1)


def trained(study: Study, overheads: tuple[float, ...]) -> None:
    """Trials with one rung each, of half a second a step, and so many seconds besides."""
    search = search_of(study, None)
    for overhead in overheads:
        number = search.propose().number
        note_hardware(study.trial_folder(number))
        search.report(rung(number, 10, 0.1))
        fields = study.trial(number).user_attrs["rung:10"]
        study._set(number, "rung:10", fields | {"seconds": 5.0 + overhead, "seconds_training": 5.0})


def test_the_study_itself_says_how_fast_its_models_train(open_study, tmp_path):
    study = open_study()
    trained(study, (28.0, 6.0, 5.0, 5.5))
    pixels = {"mobilenet": study.record(0).recipe["image_size"] ** 2 * study.record(0).recipe["batch_size"]}
    found = known(pixels, 2, tmp_path, study.records())["mobilenet"]
    assert found == Speed(0.5, 5.75, 28.0 - 5.75, "as measured in this study")
    twice = known({"mobilenet": 2 * pixels["mobilenet"]}, 2, tmp_path, study.records())["mobilenet"]
    assert twice.step == 1.0


def test_otherwise_an_earlier_study_of_this_machine_does_and_no_other_machines(open_study, tmp_path, capsys):
    trained(open_study("earlier"), (28.0, 6.0))
    found = known(PIXELS | {"retinanet": 10**5}, 2, tmp_path)
    assert found["mobilenet"].source == "as measured in study earlier"
    assert found["retinanet"].source == speed.TABLE
    assert main(["--space", "mobilenet", "--studies-dir", str(tmp_path), "--dry-run"]) == 0
    assert ", as measured in study earlier" in capsys.readouterr().out
    for path in (tmp_path / "earlier" / "trials").glob("*/hardware.json"):
        path.write_text('{"cpu": "another"}')
    assert known(PIXELS, 2, tmp_path)["mobilenet"].source == speed.TABLE


def test_studies_of_the_first_version_and_damaged_ones_do_no_harm(tmp_path):
    shutil.copytree(OLD, tmp_path / "studies")
    (tmp_path / "studies" / "broken").mkdir()
    (tmp_path / "studies" / "broken" / "study.json").write_text("{")
    found = known(PIXELS, 2, tmp_path / "studies")["mobilenet"]
    assert found.source in (speed.TABLE, "as measured in study street", "as measured in study every")
    assert about().study == "street"
