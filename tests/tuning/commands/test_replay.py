from __future__ import annotations

import json
from dataclasses import replace

import pytest
from curve_trainer import CurveTrainer
from optuna.distributions import CategoricalDistribution, FloatDistribution
from searches import CONDITIONS, SPACE, run_here, search_of

import search_spaces
from search_spaces.space import Seed
from trainers.detection.task import DETECTION
from trainers.errors import UserError
from tuning.api.deployment.architectures import architectures
from tuning.api.deployment.costing import within_limits
from tuning.api.replaying import Rule, interval, lines, recorded, replay, simulated
from tuning.api.settings import Settings
from tuning.replay import main
from tuning.search import simulation
from tuning.search.constraints import limit
from tuning.search.constraints.served_costs import ServedCosts
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.tpe import TPESampler
from tuning.search.scheduler import quorum_of
from tuning.search.search import Search
from tuning.search.simulation import Curve, ParameterTable, Table, read_curves
from tuning.study.proposal import Proposal

OBJECTIVE = DETECTION.objective(None, ())


def curves(count: int) -> list[Curve]:
    """Analytic curves of random recipes."""
    context = SamplerContext(lambda trial: SPACE.suggest(trial, CONDITIONS), 11, OBJECTIVE)
    sampler = TPESampler(context, startup_trials=count + 1)
    made = []
    for number in range(count):
        proposal = sampler.propose(number)
        steps = [10, 30, 60, 90]
        means = [CurveTrainer.mean_ap(proposal.recipe, step) for step in steps]
        metrics = {"mAP": means, "mAP50": means, "validation_loss/total": [2 - mean for mean in means]}
        made.append(Curve(proposal.recipe, proposal.params, steps, metrics, 0.1))
    return made


CURVES = curves(30)
BEST = max(curve.metrics["mAP"][-1] for curve in CURVES)


def test_a_curve_is_straight_between_its_evaluations_and_begins_at_no_map():
    curve = Curve(
        CURVES[0].recipe, {}, [10, 30], {"mAP": [0.2, 0.4], "validation_loss/total": [2.0, 1.0]}, 0.1
    )
    assert curve.at(5) == {"mAP": pytest.approx(0.1), "validation_loss/total": 2.0}
    assert curve.at(20) == {"mAP": pytest.approx(0.3), "validation_loss/total": pytest.approx(1.5)}
    assert curve.at(30)["mAP"] == 0.4
    assert curve.at(90)["mAP"] == 0.4


def test_a_proposal_becomes_the_nearest_trial_that_is_not_yet_taken():
    table = Table(CURVES, SPACE, CONDITIONS)
    exact = SPACE.replay(CURVES[7].params, CONDITIONS)
    proposal = Proposal(exact.recipe, CURVES[7].params, exact.distributions)
    assert ParameterTable([curve.params for curve in CURVES]).distances(proposal)[7] == 0
    first, second = table.nearest(proposal), table.nearest(proposal)
    assert first.params == CURVES[7].params
    assert second.params != CURVES[7].params


def test_the_distance_is_the_mean_over_all_parameters_and_1_for_one_that_only_one_of_the_two_has():
    distributions = {
        "rate": FloatDistribution(1e-4, 1.0, log=True),
        "kind": CategoricalDistribution(("adam", "momentum")),
        "momentum": FloatDistribution(0.5, 1.0),
    }
    proposal = Proposal(CURVES[0].recipe, {"rate": 1e-2, "kind": "momentum", "momentum": 0.9}, distributions)
    others = [
        {"rate": 1e-2, "kind": "momentum", "momentum": 0.9},
        {"rate": 1e-3, "kind": "momentum", "momentum": 0.7},
        {"rate": 1e-2, "kind": "adam", "beta": 0.3},
        {"rate": 1e-2, "kind": "no longer offered", "momentum": 0.9},
    ]
    assert ParameterTable(others).distances(proposal) == pytest.approx(
        [0, (0.25 + 0.4) / 3, (1 + 1 + 1) / 4, 1 / 3]
    )


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["stop", "promote"])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_replay_gives_every_trial_its_verdict_and_counts_what_it_took(scheduler, workers):
    rule = Rule(scheduler=scheduler, trials=20, workers=workers)
    outcome, history = replay(CURVES, SPACE, CONDITIONS, rule, seed=3)
    assert outcome.found + outcome.regret == pytest.approx(BEST)
    assert history[-1][1] == pytest.approx(outcome.trainings * 90)
    assert 20 / 3 <= outcome.trainings < 20
    assert [at for at, *_ in history] == sorted(at for at, *_ in history)
    assert replay(CURVES, SPACE, CONDITIONS, rule, seed=3) == (outcome, history)


def test_trials_are_promoted_also_when_every_curve_has_been_taken():
    outcome, _ = replay(CURVES[:9], SPACE, CONDITIONS, Rule(scheduler="promote", trials=9), seed=3)
    assert outcome.completed >= 9 // 3


@pytest.mark.slow
def test_more_workers_take_less_time_for_the_same_trials():
    alone = replay(CURVES, SPACE, CONDITIONS, Rule(trials=20, workers=1), seed=3)[0]
    four = replay(CURVES, SPACE, CONDITIONS, Rule(trials=20, workers=4), seed=3)[0]
    assert four.seconds < alone.seconds / 2.5


@pytest.mark.parametrize(("trials", "quorum"), [(3, 2), (6, 2), (9, 3), (60, 3)])
def test_a_search_and_its_replay_decide_from_as_many_trials(trials, quorum):
    assert Settings("mobilenet", trials=trials).new_scheduler().quorum == quorum_of(trials, 3) == quorum


@pytest.mark.slow
def test_taking_every_curve_to_its_end_finds_the_best():
    outcome, _ = replay(CURVES, SPACE, CONDITIONS, Rule("full", trials=30), seed=0)
    assert outcome.completed == 30
    assert outcome.regret == 0
    assert outcome.trainings == 30


@pytest.mark.slow
def test_a_studys_own_trials_are_replayed_and_stopped_ones_drawn_on_as_the_others_grew(open_study, capsys):
    study = open_study(space_hash=SPACE.hash(CONDITIONS))
    run_here(search_of(study, 12))
    found = simulation.of_records(
        study.records(), {trial.number: trial.params for trial in study.trials()}, 90, study.objective
    )
    for curve, record in zip(found, study.records(), strict=True):
        assert curve.steps[-1] == 90
        assert curve.at(record.step)["mAP"] == pytest.approx(record.value)
        assert curve.metrics["mAP"][-1] >= record.value
    assert main([str(study.folder), "--seeds", "2", "--trials", "8"]) == 0
    said = capsys.readouterr().out
    assert "2 replays of 8 trials over 12 curves: tpe, stop, factor 3" in said
    assert main([str(study.folder), "--seeds", "2", "--random", "--format", "json"]) == 0
    outcomes = json.loads(capsys.readouterr().out)["outcomes"]
    assert len(outcomes) == 2


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["promote", "stop", "full"])
@pytest.mark.parametrize("brackets", [1, 2])
def test_a_finished_study_replayed_under_its_own_settings_takes_its_own_decisions(
    scheduler, brackets, open_study, tmp_path
):
    if scheduler == "full" and brackets > 1:
        pytest.skip("it has no brackets")
    study = open_study(
        space_hash=SPACE.hash(CONDITIONS), seed=4, scheduler=scheduler, brackets=brackets, objective="mAP50"
    )
    conditions, trials = study.manifest.conditions(), 9
    context = SamplerContext(lambda trial: SPACE.suggest(trial, conditions), 4, study.objective)
    settings = Settings(
        "mobilenet", trials=trials, seed=4, scheduler=scheduler, brackets=brackets, max_steps=90
    )
    run_here(Search(study, TPESampler(context), settings.new_scheduler(), trials, SPACE.seeds(conditions)))
    found = recorded(str(study.folder), tmp_path, None)
    assert (found.rule.scheduler, found.rule.brackets, found.seed) == (scheduler, brackets, 4)
    again, _ = simulated(
        tmp_path / "again",
        found.curves,
        found.space,
        found.conditions,
        found.rule,
        found.seed,
        found.objective,
    )
    assert decisions(again) == decisions(study)
    again.close()


def test_a_study_with_several_objectives_is_replayed_by_all_of_them(open_study, tmp_path):
    study = open_study(space_hash=SPACE.hash(CONDITIONS), scheduler="promote", also="latency_ms")
    conditions, trials = study.manifest.conditions(), 12
    context = SamplerContext(lambda trial: SPACE.suggest(trial, conditions), 1, study.objective)
    settings = Settings("mobilenet", trials=trials, seed=1, max_steps=90)
    scheduler, seeds = settings.new_scheduler(), SPACE.seeds(conditions)
    run_here(Search(study, TPESampler(context), scheduler, trials, seeds, costs=FasterWithLargerRates()))
    found = recorded(str(study.folder), tmp_path, None)
    given = found.curves, found.space, found.conditions, found.rule, found.seed
    again, _ = simulated(tmp_path / "again", *given, found.objective)
    assert decisions(again) == decisions(study)
    again.close()
    alone, _ = simulated(tmp_path / "alone", *given, replace(found.objective, also=()))
    assert decisions(alone) != decisions(study), "the latency decides"
    alone.close()


def test_a_study_with_limits_is_replayed_within_them(open_study, tmp_path):
    space, limits = search_spaces.get("all"), limit.parse(["latency_ms<=15"])
    study = open_study(
        space="all", space_hash=space.hash(CONDITIONS), scheduler="promote", limit="latency_ms<=15"
    )
    conditions, trials = study.manifest.conditions(), 9
    networks = [each.architecture for each in architectures(space, conditions)]
    costs = ServedCosts(
        [replace(one, costs={"latency_ms": 10.0 * (1 + i)}) for i, one in enumerate(networks)]
    )
    costs.write(study.folder)
    sampler = TPESampler(SamplerContext(lambda trial: space.suggest(trial, conditions), 1, study.objective))
    seeds = space.seeds(conditions)
    sampler, seeds = within_limits(sampler, seeds, costs, limits, space, conditions)
    scheduler = Settings("all", trials=trials, seed=1, max_steps=90).new_scheduler()
    run_here(Search(study, sampler, scheduler, trials, seeds, costs=costs))
    found = recorded(str(study.folder), tmp_path, None)
    assert found.rule.limits == limits
    of, end = (found.curves, found.space, found.conditions), (found.seed, found.objective, found.costs)
    again, _ = simulated(tmp_path / "again", *of, found.rule, *end)
    assert decisions(again) == decisions(study)
    again.close()
    free, _ = simulated(tmp_path / "free", *of, replace(found.rule, limits=()), *end)
    assert decisions(free) != decisions(study), "the limit decides"
    free.close()


def test_a_replay_that_completes_nothing_has_no_best():
    objective = DETECTION.objective("validation_loss/total", ())
    outcome, _ = replay(CURVES, SPACE, CONDITIONS, Rule("promote", trials=9, like=0.5), 1, objective)
    assert (outcome.found, outcome.regret, outcome.completed) == (None, None, 0)
    whole, _ = replay(CURVES, SPACE, CONDITIONS, Rule("promote", trials=9), 1, objective)
    said = "\n".join(lines(len(CURVES), Rule(), [outcome, whole]))
    assert "none: no trial of 1 replays was completed" in said
    assert f"best       {whole.found:.3f}\n" in said, "one value has no interval"


class FasterWithLargerRates(ServedCosts):
    def of(self, recipe):
        return {"latency_ms": 1 / recipe["schedule"]["base"]}


def decisions(study) -> list[object]:
    """All that was decided, without the times."""
    told = ("step", "value", "decision", "reason", "rank", "of", "cutoff")
    return [
        (r.number, r.recipe_id, r.verdict, [[getattr(rung, name) for name in told] for rung in r.rungs])
        for r in study.records()
    ]


def test_a_study_without_a_full_curve_cannot_be_replayed(open_study):
    with pytest.raises(UserError, match="no trial of the study is completed"):
        simulation.of_records(open_study().records(), {}, 90, OBJECTIVE)


def test_curves_are_kept_in_a_file(tmp_path, capsys):
    path = tmp_path / "curves.json"
    path.write_text(json.dumps([curve.to_dict() for curve in CURVES]))
    assert read_curves(path) == CURVES
    assert main([str(path), "--space", "mobilenet", "--seeds", "1", "--trials", "5"]) == 0
    assert main([str(path), "--seeds", "1"]) == 2
    assert "give the --space that they were recorded with" in capsys.readouterr().err
    path.write_text("[{}]")
    with pytest.raises(UserError, match="cannot be read as learning curves"):
        read_curves(path)


def test_the_interval_is_that_of_students_t():
    mean, half = interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    assert half == pytest.approx(3.182446 * 1.2909944 / 2)


def test_a_study_that_began_with_a_recipe_of_its_own_is_replayed_with_it(open_study, tmp_path):
    study = open_study(space_hash=SPACE.hash(CONDITIONS), scheduler="promote")
    conditions, trials = study.manifest.conditions(), 9
    mine = Seed("mine.yaml", "/home/me/mine.yaml", CURVES[3].params, ())
    context = SamplerContext(lambda trial: SPACE.suggest(trial, conditions), 1, study.objective)
    scheduler = Settings("mobilenet", trials=trials, seed=1, max_steps=90).new_scheduler()
    run_here(Search(study, TPESampler(context), scheduler, trials, [mine, *SPACE.seeds(conditions)]))
    found = recorded(str(study.folder), tmp_path, None)
    assert [seed.name for seed in found.first] == ["mine.yaml"]
    of = found.curves, found.space, found.conditions, found.rule, found.seed, found.objective, found.costs
    again, _ = simulated(tmp_path / "again", *of, found.first)
    assert decisions(again) == decisions(study)
    again.close()
    without, _ = simulated(tmp_path / "without", *of)
    assert decisions(without) != decisions(study)
    without.close()


@pytest.mark.parametrize("metrics", [{"mAP50": 0.1}, {"mAP": float("nan"), "mAP50": 0.1}])
def test_curves_without_a_value_of_the_objective_are_refused_in_one_line(tmp_path, capsys, metrics):
    path = tmp_path / "curves.json"
    rows = [
        curve.to_dict() | {"metrics": {name: [value] * 4 for name, value in metrics.items()}}
        for curve in CURVES
    ]
    path.write_text(json.dumps(rows))
    assert main([str(path), "--space", "mobilenet", "--seeds", "1", "--trials", "5"]) == 2
    assert "each curve needs mAP" in capsys.readouterr().err
