"""A search that ends with its best trials again, each on several splits of the images (`--folds`)."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from searches import OBJECTIVE, about, context, run_here, score

from trainers.datasets.splits.folds import Fold
from trainers.errors import UserError
from tuning.search.limits.budget import Budget
from tuning.search.limits.ending import check_repeats, trainings_again
from tuning.search.samplers.random_sampler import RandomSampler
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study import trial_record
from tuning.study.confirmed import confirmed
from tuning.study.spent import Spent
from tuning.study.study import Study
from tuning.study.trial_record import FOLD, REPEATS, Rung, TrialRecord
from tuning.study.verdict import completed

ROOT = Path(__file__).parents[3]
STEPS = 90


def record(number: int, value: float, repeats: int | None = None, fold: Fold | None = None) -> TrialRecord:
    rung = Rung(STEPS, value, 0, 0, 0, {"mAP": value}, "continue", "", 1, 1, None, score(value))
    provenance = {} if repeats is None else {REPEATS: str(repeats)}
    provenance |= {} if fold is None else {FOLD: str(fold)}
    return TrialRecord(number, "completed", completed(STEPS), "", {}, (rung,), provenance, Spent())


def on_folds(values: dict[int, list[float]], of: int) -> list[TrialRecord]:
    """Finalists, and their repeats on the first folds; the first training of each has .9 of its mean."""
    records = [record(number, 0.9 * float(np.mean(each))) for number, each in values.items()]
    for number, each in values.items():
        for fold, value in enumerate(each, 1):
            records.append(record(len(records), value, number, Fold(fold, of)))
    return records


def test_each_finalist_is_trained_once_on_each_fold(tmp_path):
    study = Study.open(tmp_path / "street", about(), durable=False)
    halving = Halving((10, 30, STEPS), mode="promote")
    run_here(Search(study, RandomSampler(context()), halving, 18, confirm=6, folds=3))
    study.close()
    repeats = [r for r in study.records() if r.repeats is not None]
    finalists = {r.repeats for r in repeats}
    assert len(finalists) == 2
    assert sorted((r.repeats, str(r.fold)) for r in repeats) == sorted(
        (number, f"{fold} of 3") for number in finalists for fold in (1, 2, 3)
    )
    assert (
        len({r.recipe["seed"] for r in repeats if r.fold == Fold(1, 3)}) == 1
    )  # so that the pairs are alike
    assert (
        repeats[0].provenance["source"]
        == f"with seed {repeats[0].recipe['seed']} on fold 1 of 3 of the images"
    )


def test_the_winner_is_the_best_on_average_over_the_folds_that_all_have():
    records = on_folds({0: [0.50, 0.60, 0.40], 1: [0.52, 0.63, 0.43], 2: [0.60, 0.61]}, of=3)
    ranked = [r.number for r in trial_record.ranking(records)]
    assert ranked == [2, 1, 0]  # .605, .575, .550 on the first two folds
    found = confirmed(records, OBJECTIVE)
    assert [(f.trial, f.again) for f in found.finalists] == [
        (2, (0.60, 0.61)),
        (1, (0.52, 0.63)),
        (0, (0.50, 0.60)),
    ]
    assert found.finalists[1].mean == pytest.approx(0.575)
    assert found.folds == 3


def test_intervals_are_of_differences_on_the_same_fold():
    """By hand: leads .02, .03, .04; mean .03, deviation .01; t(.975; 2) = 4.303, and sqrt(1/3 + 1/2) = .913."""
    found = confirmed(on_folds({0: [0.40, 0.60, 0.20], 1: [0.42, 0.63, 0.24]}, of=3), OBJECTIVE)
    assert found.finalists[0].behind is None
    half = 4.3027 * 0.01 * math.sqrt(1 / 3 + 1 / 2)
    assert found.finalists[1].behind == pytest.approx((0.03 - half, 0.03 + half), abs=1e-5)
    assert not found.beyond_chance
    assert (
        found.lines("mAP")[0]
        == "trial 1: mAP 0.430 on average of folds, 0.420, 0.630, 0.240; 0.387 in the search"
    )
    assert found.lines("mAP")[-2].startswith("another split moves mAP by 0.")


def test_two_recipes_that_are_equally_good_are_seldom_told_apart():
    """Of differences that share half of their variance, as those of folds whose training images overlap."""
    draws = np.random.default_rng(0)
    told_apart = 0
    for _ in range(1000):
        shared, own = draws.normal(size=2), draws.normal(size=(2, 5))
        values = 0.5 + 0.02 * (np.sqrt(0.25) * shared[:, None] + np.sqrt(0.75) * own)
        found = confirmed(on_folds({0: list(values[0]), 1: list(values[1])}, of=5), OBJECTIVE)
        told_apart += found.beyond_chance
    assert told_apart <= 70  # 5%, within what 1,000 draws vary


def test_repeats_with_other_seeds_alone_are_told_as_before():
    records = [record(0, 0.5), record(1, 0.4), record(2, 0.45, 0), record(3, 0.42, 1)]
    assert confirmed(records, OBJECTIVE).folds == 0
    assert confirmed(records[:2], OBJECTIVE) is None


def test_without_a_number_of_trainings_two_trials_are_trained_on_each_fold():
    assert trainings_again(0, 3) == 6
    assert trainings_again(9, 3) == 9
    check_repeats(6, 3, Budget(trials=8))


@pytest.mark.parametrize(
    ("confirm", "folds", "message"),
    [
        (0, 1, "--folds 1: there must be at least 2"),
        (4, 3, "--confirm 4 with --folds 3: each of the best trials .* give a multiple of 3"),
        (
            0,
            4,
            "--folds 4, with 8 trainings, is larger than the budget: --trials 9 .* give --trials 10 or more",
        ),
    ],
)
def test_numbers_that_do_not_fit_are_refused(confirm, folds, message):
    with pytest.raises(UserError, match=message):
        check_repeats(confirm, folds, Budget(trials=9))


@pytest.mark.slow(15)
def test_a_search_trains_its_finalists_on_other_images_and_promotes_none_of_those_trainings(
    tmp_path, photographs
):
    """With a trainer that notes which data it was given."""
    words = ["--space", "mobilenet", "--trainer", "noting_trainer:NotingTrainer", "--data", str(photographs)]
    words += ["--trials", "6", "--folds", "2", "--max-steps", "90", "--workers", "2", "--weights", "none"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parents[1])])}

    def run(module: str, *line: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", module, *line]
        return subprocess.run(
            whole, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = run("tuning.run", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    study = tmp_path / "studies" / "mobilenet-photographs"
    trials = json.loads((study / "summary.json").read_text())["trials"]
    noted = {
        trial["trial"]: (study / "trials" / str(trial["trial"]) / "data.txt").read_text() for trial in trials
    }
    searched = {noted[trial["trial"]] for trial in trials if "repeats" not in trial}
    folded = {(trial["fold"], noted[trial["trial"]]) for trial in trials if "repeats" in trial}
    assert len(searched) == 1
    assert sorted(fold for fold, _ in folded) == ["1 of 2", "2 of 2"]  # both finalists on the same images
    assert len(searched | {data for _, data in folded}) == 3
    assert "on average of folds" in done.stdout
    number = next(trial["trial"] for trial in trials if "repeats" in trial)
    refused = run("tuning.promote", "mobilenet-photographs", "--trial", str(number))
    assert refused.returncode == 2
    assert "was trained on fold 1 of 2 of the images, not on the study's own split" in refused.stderr


@pytest.fixture
def photographs(tmp_path) -> Path:
    from trainers.datasets import formats
    from trainers.datasets.toy_city.generating import labelled_scene
    from trainers.datasets.toy_city.scenes import ToyCity

    city, folder = ToyCity(), tmp_path / "photographs"
    folder.mkdir()
    scenes = [labelled_scene(city, "train", number) for number in range(20)]
    formats.named("coco").write(folder, city.classes, {"train": scenes})
    return folder


def test_of_equal_finalists_one_in_twenty_searches_at_most_has_one_that_is_called_worse():
    rng, finalists, folds, searches = np.random.default_rng(0), 5, 5, 400
    wrong = 0
    for _ in range(searches):
        shared = math.sqrt(1 / folds) * rng.normal(
            size=(finalists, 1)
        )  # as the corrected test takes them to be
        values = shared + math.sqrt(1 - 1 / folds) * rng.normal(size=(finalists, folds))
        found = confirmed(on_folds(dict(enumerate((1 + values / 100).tolist())), folds), OBJECTIVE)
        wrong += any(each.behind is not None and each.behind[0] > 0 for each in found.finalists)
    assert wrong <= 0.06 * searches
