"""Several objectives: fronts, what they dominate, and a search that keeps what is on them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import optuna
import pytest
from searches import CONDITIONS, OBJECTIVE, about, context, run_here, score

import search_spaces
from trainers.errors import UserError
from tuning.api.deployment.architectures import architectures
from tuning.api.settings import Settings
from tuning.callbacks.summary import summary
from tuning.reporting.context import ReportContext
from tuning.reporting.parts.winners import front as front_part
from tuning.reporting.parts.winners.ranking import headline
from tuning.search import sampler as samplers
from tuning.search.constraints.served_costs import ServedCosts
from tuning.search.samplers.tpe import all_values, by_front
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study import pareto, reading
from tuning.study.study import Study

ALL = search_spaces.get("all")


@pytest.mark.parametrize("objectives", [2, 3])
def test_fronts_are_those_of_optuna(objectives):
    points = np.round(np.random.default_rng(0).random((40, objectives)), 1)  # with ties
    study = optuna.create_study(directions=["maximize"] * objectives)
    distributions = {"x": optuna.distributions.FloatDistribution(0, 1)}
    for row in points:
        study.add_trial(
            optuna.trial.create_trial(values=list(row), params={"x": 0.5}, distributions=distributions)
        )
    best = {trial.number for trial in study.best_trials}
    assert set(np.flatnonzero(pareto.fronts(points) == 0).tolist()) == best
    left = np.flatnonzero(pareto.fronts(points) > 0)
    assert (pareto.fronts(points)[left] - 1 == pareto.fronts(points[left])).all()


def test_two_objectives_have_the_fronts_that_they_have_beside_a_third_that_is_equal():
    points = np.round(np.random.default_rng(1).random((400, 2)), 2)
    points[:9, 1] = -np.inf  # not measured
    beside = np.hstack([points, np.ones((len(points), 1))])
    assert (pareto.fronts(points) == pareto.fronts(beside)).all()


@pytest.mark.parametrize(
    ("points", "volume"),
    [
        ([], 0.0),
        ([[0.5, -1.0]], 0.0),  # not above the reference
        ([[1.0, 2.0]], 2.0),
        ([[1.0, 2.0], [2.0, 1.0]], 3.0),
        ([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0]], 3.0),
        ([[1.0, 1.0, 1.0], [2.0, 0.5, 0.5]], 1.25),
    ],
)
def test_the_hypervolume_of_known_points(points, volume):
    dimensions = len(points[0]) if points else 2
    found = pareto.hypervolume(np.array(points, float).reshape(-1, dimensions), np.zeros(dimensions))
    assert found == pytest.approx(volume)


def test_trials_on_a_rungs_front_pass_it_before_better_ones_that_are_dominated():
    scores = {
        0: (0.50, -40.0),
        1: (0.48, -45.0),
        2: (0.30, -10.0),
        3: (0.20, -12.0),
        4: (0.1, -30.0),
        5: (0.05, -50),
    }
    halving = Halving((10, 90), mode="promote")
    for trial, (value, latency) in scores.items():
        halving.record(trial, 10, dataclasses.replace(score(value), also=(latency,)))
    waiting, promoted = dict.fromkeys(scores, 10), []
    while (trial := halving.promotable(waiting, more=False)) is not None:
        halving.promote(trial, 10)
        promoted.append(trial)
        del waiting[trial]
    assert promoted == [0, 2]
    assert by_front({t: v for t, (v, _) in scores.items()},
                    {t: dataclasses.replace(score(v), also=(c,)) for t, (v, c) in scores.items()}) == {
        0: 5.0, 2: 4.0, 1: 3.0, 3: 2.0, 4: 1.0, 5: 0.0
    }  # fmt: skip


def test_of_a_front_the_ends_and_the_least_crowded_trials_are_good_to_the_sampler():
    front = {0: (0.5, -40.0), 1: (0.49, -39.0), 2: (0.48, -38.0), 3: (0.3, -20.0), 4: (0.1, -10.0)}
    scores = {t: dataclasses.replace(score(v), also=(c,)) for t, (v, c) in front.items()}
    merits = by_front({t: v for t, (v, _) in front.items()}, scores)
    assert sorted(merits, key=lambda trial: -merits[trial]) == [0, 4, 3, 2, 1]


def test_crowding_is_that_of_nsga_2():
    points = np.array([(0.0, 4.0), (1.0, 3.0), (2.0, 2.5), (4.0, 0.0)])
    assert pareto.crowding(points).tolist() == [np.inf, 2 / 4 + 1.5 / 4, 3 / 4 + 3 / 4, np.inf]
    assert pareto.crowding(np.zeros((1, 2))).tolist() == [np.inf]


def test_the_sampler_is_told_every_objective_and_what_was_not_measured_is_worse_than_all():
    points = {0: (0.5, -40.0), 1: (0.4, -np.inf), 2: (0.3, -20.0)}
    scores = {t: dataclasses.replace(score(v), also=(c,)) for t, (v, c) in points.items()}
    assert all_values({t: v for t, (v, _) in points.items()}, scores) == {
        0: (0.5, -40.0), 1: (0.4, -41.0), 2: (0.3, -20.0)
    }  # fmt: skip
    assert all_values({7: 0.25}, {7: score(0.25)}) == {7: (0.25,)}
    assert all_values({}, {}) == {}


def test_trials_of_which_only_the_objective_is_known_teach_a_search_with_several():
    objective = dataclasses.replace(OBJECTIVE, also=("latency_ms",))
    sampler = samplers.make("tpe", dataclasses.replace(context(), objective=objective))
    for number in range(12):
        proposal = sampler.propose(number)
        trial = optuna.trial.create_trial(
            value=number / 20, params=dict(proposal.params), distributions=dict(proposal.distributions),
            intermediate_values={90: number / 20},
        )  # fmt: skip
        trial.number = number
        sampler.learn(trial)
    assert sampler.propose(12).params


def test_with_one_objective_there_is_no_front_to_show(tmp_path):
    study = Study.open(tmp_path / "street", about(), durable=False)
    study.close()
    assert front_part.section(ReportContext(reading.read("street", tmp_path))) is None


def test_with_one_objective_nothing_changes():
    scores = {0: score(0.1), 1: score(0.3)}
    assert by_front({0: 1.0, 1: 3.0}, scores) == {0: 1.0, 1: 3.0}
    assert pareto.levels(list(scores.values())) == [0, 0]


def test_a_search_with_a_further_objective_ends_with_its_front(tmp_path: Path):
    rows = [each.architecture for each in architectures(ALL, CONDITIONS)]
    costs = ServedCosts(
        [dataclasses.replace(row, costs={"latency_ms": 10.0 * (1 + i)}) for i, row in enumerate(rows)]
    )
    study = Study.open(tmp_path / "street", about(space="all", also="latency_ms"), durable=False)
    made = dataclasses.replace(context(ALL), objective=study.objective)
    seeds = ALL.seeds(CONDITIONS)
    run_here(Search(study, samplers.make("random", made), Halving((10, 30, 90)), 9, seeds, costs=costs))
    records = study.records()
    told = summary(study)
    study.close()
    report = ReportContext(reading.read("street", tmp_path))
    assert "latency_ms" in headline(report)  # of the report's ranking
    front = pareto.front(records, study.objective)
    section = front_part.section(report)
    assert [int(row[0]) for row in section.tables[0].rows] == [record.number for record in front]
    drawn = section.charts[0].figure.data[1]
    assert sorted(drawn.y) == sorted(record.value for record in front)
    assert [row["trial"] for row in told["front"]] == [record.number for record in front]
    completed = [record for record in records if record.state == "completed"]
    for record in completed:
        own = pareto.values(record, study.objective)
        better = [
            other
            for other in front
            if all(a >= b for a, b in zip(pareto.values(other, study.objective), own, strict=True))
        ]
        assert better
    assert all(record.rungs[-1].score.also for record in completed)  # read back from the journal
    assert pareto.front(records, OBJECTIVE) == []


@pytest.mark.parametrize(
    ("also", "message"),
    [
        (("AR100",), "a further objective is latency_ms or megabytes"),
        (("megabytes", "megabytes"), "is given twice"),
    ],
)
def test_what_is_no_further_objective_is_refused(also, message):
    with pytest.raises(UserError, match="--and ") as error:
        Settings("mobilenet", also=also)
    assert message in str(error.value)
