"""A warm start on the same data takes over what the earlier study has measured, and trains none of its recipes again."""

from __future__ import annotations

import dataclasses

import pytest
from searches import CONDITIONS, SPACE, about, context, run_here
from test_going_on import checkpoint, read

from search_spaces.space import Seed
from tuning.search import warm_start
from tuning.search.known import KnownResults
from tuning.search.samplers.random_sampler import RandomSampler
from tuning.search.samplers.tpe import TPESampler
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.search.space_adapter import SpaceAdapter
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import KNOWN, TrialRecord


@pytest.fixture
def earlier(open_study):
    """A study of twelve random trials, closed."""
    study = open_study("earlier")
    halving = Halving((10, 30, 90))
    run_here(Search(study, RandomSampler(context()), halving, 12))
    return study


def warm_search(study, start, trials: int) -> Search:
    sampler = TPESampler(context())
    for prior in start.prior_trials:
        sampler.learn(prior)
    seeds = [*start.seeds, *SPACE.seeds(CONDITIONS)]
    return Search(study, sampler, Halving((10, 30, 90)), trials, seeds, known=KnownResults(start.known))


def best_of(study, count: int = 4) -> list[TrialRecord]:
    return sorted(study.records(), key=lambda record: (record.step, record.value), reverse=True)[:count]


@pytest.mark.slow
def test_a_warm_start_takes_over_the_results_of_the_best_and_learns_from_all(earlier, open_study, tmp_path):
    best = best_of(earlier)
    for record in best:
        (earlier.trial_folder(record.number) / f"detections-{record.step}.npz").write_text("kept")
        (earlier.trial_folder(record.number) / "mlflow.json").write_text(
            '{"uri": "sqlite://", "run": "theirs"}'
        )
        checkpoint(earlier, record.number, record.step)
    start = warm_start.warm_start(read("earlier", tmp_path, ""), about(), SpaceAdapter(SPACE, CONDITIONS))
    assert [seed.name for seed in start.seeds] == [f"earlier trial {record.number}" for record in best]
    assert len(start.prior_trials) == 12 - len(best)
    study = open_study("later")
    first = warm_search(study, start, 6).propose()
    taken = study.records()[:4]
    assert first.number == 4
    for record, known in zip(taken, best, strict=True):
        assert (record.recipe, record.state) == (known.recipe, known.state)
        assert [(rung.step, rung.metrics) for rung in record.rungs] == [
            (rung.step, rung.metrics) for rung in known.rungs
        ]
        assert record.provenance["name"] == f"known from earlier trial {known.number}"
        assert record.spent.seconds == record.spent.steps == 0
        folder = study.trial_folder(record.number)
        assert (folder / f"detections-{record.step}.npz").read_text() == "kept"
        assert not (folder / "mlflow.json").exists()  # its run in MLflow is its own
        assert newest_checkpoint(folder)[0] == known.step
    assert study.record(4).recipe_id not in {record.recipe_id for record in earlier.records()}


def test_no_recipe_is_trained_that_the_earlier_study_has_trained(earlier, open_study, tmp_path):
    start = warm_start.warm_start(read("earlier", tmp_path, ""), about(), SpaceAdapter(SPACE, CONDITIONS))
    study = open_study("later")
    run_here(warm_search(study, start, 6))
    trained = [record for record in study.records() if KNOWN not in record.provenance]
    assert len(trained) == 6, "known ones do not count"
    tried = [record.recipe_id for record in (*earlier.records(), *trained)]
    assert len(set(tried)) == len(tried)
    again = open_study("later")
    assert warm_search(again, start, 6).exhausted


def test_a_known_trial_that_is_promoted_further_than_it_was_goes_on_from_its_checkpoint(
    earlier, open_study, tmp_path
):
    start = warm_start.warm_start(read("earlier", tmp_path, ""), about(), SpaceAdapter(SPACE, CONDITIONS))
    stopped = [known for known in start.known if known.record.state == "pruned"]
    assert stopped
    study = open_study("later")
    sampler = TPESampler(context())
    seeds = [Seed(known.source, "", dict(trial.params), ()) for known in stopped[:1]
             for trial in earlier.trials() if trial.number == known.record.number]  # fmt: skip
    search = Search(study, sampler, Halving((10, 30, 90)), 2, seeds, known=KnownResults(stopped))
    record = search.propose()  # alone, it is not stopped
    assert (record.number, record.step, record.recipe_id) == (
        0,
        stopped[0].record.step,
        stopped[0].record.recipe_id,
    )
    assert KNOWN in record.provenance


@pytest.mark.parametrize("changes", [{"seed": 2}, {"early_images": 10}], ids=["seed", "images of a rung"])
def test_what_was_trained_or_measured_otherwise_is_not_taken_over(earlier, open_study, tmp_path, changes):
    conditions = dataclasses.replace(CONDITIONS, seed=changes.get("seed", 1))
    adapter = SpaceAdapter(SPACE, conditions)
    start = warm_start.warm_start(read("earlier", tmp_path, ""), about(**changes), adapter)
    sampler = TPESampler(context(conditions=conditions, seed=2))
    search = Search(
        open_study("later"), sampler, Halving((10, 30, 90)), 6, start.seeds, known=KnownResults(start.known)
    )
    assert KNOWN not in search.propose().provenance
