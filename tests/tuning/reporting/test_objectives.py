"""Whatever a study optimises, all that is said of it follows: one class, a weighted sum, or a loss."""

from __future__ import annotations

import json
from collections.abc import Mapping

import made_study
import pytest
import searches
from contrary_trainer import ContraryTrainer
from mlflow import MlflowClient
from optuna.study import StudyDirection
from searches import run_here, search_of

from trainers.detection.task import RESOLUTION
from tuning import compare, report
from tuning.callbacks.summary import SummaryFile
from tuning.reporting.context import ReportContext
from tuning.reporting.ledger import ledger, lines
from tuning.reporting.parts import curves
from tuning.reporting.parts.winners import ranking
from tuning.study import reading
from tuning.study.study import Study
from tuning.tracking.callback import Tracking
from tuning.tracking.mlflow_writer import MLflowWriter

ONE_CLASS, SUM, LOSS = "AP/pedestrian", "0.7*mAP+0.3*mAP_small", "validation_loss/total"
OBJECTIVES = (ONE_CLASS, SUM, LOSS)
TRIALS = 9
slow = pytest.mark.slow
whichever = pytest.mark.parametrize("objective", OBJECTIVES)


def expected(objective: str, metrics: Mapping[str, float]) -> float:
    return 0.7 * metrics["mAP"] + 0.3 * metrics["mAP_small"] if objective == SUM else metrics[objective]


@pytest.fixture
def searched(open_study, monkeypatch):
    """Runs a search for an objective on curves; the study stays open."""
    monkeypatch.setattr(searches, "CurveTrainer", ContraryTrainer)

    def search(objective: str, trials: int = TRIALS, folder: str = "street", **changes: object) -> Study:
        study = open_study(folder, objective=objective, **changes)
        summary = SummaryFile(study)
        run_here(search_of(study, trials, (summary,)))
        summary.write()
        return study

    return search


def read(study: Study) -> reading.StudyRead:
    return reading.read(study.folder.name, study.folder.parent)


def written(study: Study, capsys: pytest.CaptureFixture[str]) -> dict:
    assert report.main([str(study.folder), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
@whichever
def test_every_trial_is_worth_what_the_objective_says_and_optuna_is_told_the_same(objective, searched):
    study = searched(objective)
    assert study._optuna.direction == (
        StudyDirection.MINIMIZE if objective == LOSS else StudyDirection.MAXIMIZE
    )
    for record, trial in zip(study.records(), study.trials(), strict=True):
        for rung in record.rungs:
            assert rung.value == pytest.approx(expected(objective, rung.metrics))
        assert trial.value == record.value
    completed = [record for record in study.records() if record.state == "completed"]
    assert len(completed) < TRIALS, "or nothing was stopped"
    for record in study.records():
        if record.state == "pruned":
            behind = record.verdict.cutoff - record.value
            assert (-behind if objective == LOSS else behind) > -RESOLUTION, "but for ties"
            assert (
                f"{objective} {record.value:.3f}, cutoff {record.verdict.cutoff:.3f}" in record.verdict.reason
            )


@pytest.mark.slow
@whichever
def test_the_ranking_the_headline_and_the_curves_follow_it(objective, searched, capsys):
    study = searched(objective)
    found = written(study, capsys)
    ranked = found["sections"]["ranking"]["trials"]
    full = [each for each in ranked if each["step"] == 90]
    assert len(full) > 1
    values = [each["value"] for each in full]
    assert values == sorted(values, reverse=objective != LOSS)
    by_map = max(full, key=lambda each: each["headline"]["mAP"])
    if objective != SUM:
        assert by_map["trial"] != full[0]["trial"], "the objective must matter here"
    assert set(full[0]["headline"]) == {"mAP", "mAP50"}
    assert found["headline"] == f"{objective} {values[0]:.3f} by trial {full[0]['trial']}"
    assert f"is first with {objective} {values[0]:.3f}." in found["sections"]["ranking"]["text"][0]

    pick = min if objective == LOSS else max
    for rung in found["sections"]["curves"]["rungs"]:
        there = [r.value for record in study.records() for r in record.rungs if r.step == rung["step"]]
        assert rung["best"] == pick(there)
    [chart] = curves.section(ReportContext(read(study))).charts
    assert chart.figure.layout.yaxis.title.text == objective
    assert report.main([str(study.folder), "--format", "markdown"]) == 0
    said = capsys.readouterr().out.replace("\\", "")
    assert f"best {objective}" in said
    assert f"| objective | {'minimize' if objective == LOSS else 'maximize'} {objective} |" in said


@pytest.mark.slow
@whichever
def test_the_ledger_and_its_audits_are_of_it(objective, searched):
    study = searched(objective)
    best = next(r for r in ranking.ranked_trials(ReportContext(read(study)))).value
    pruned = [record.number for record in study.records() if record.state == "pruned"]
    sign = -1 if objective == LOSS else 1

    def audited(ahead: float) -> dict[str, float]:
        """What an audit keeps of a trial that ends so far ahead of the best; its mAP says the contrary."""
        value = best + sign * ahead
        if objective == SUM:
            return {"mAP": value, "mAP_small": value}
        return {"mAP": -ahead, objective: value}

    audits = {str(pruned[0]): audited(0.02), str(pruned[1]): audited(-0.1)}
    found = ledger(study.records(), 90, audits, study.objective)
    assert found.best == best
    assert [entry.value for entry in found.entries] == [study.record(number).value for number in pruned]
    assert found.regrets == [pytest.approx(0.02), 0.0]
    assert f"audit: 1 of 2 sampled trials would have won, by at most 0.020 {objective}" in lines(found)[-1]
    assert found.to_dict()["objective"] == objective


@pytest.mark.slow
@whichever
def test_the_summary_names_it_and_its_direction(objective, searched):
    study = searched(objective)
    summary = json.loads((study.folder / "summary.json").read_text())
    assert summary["objective"] == {
        "name": objective,
        "direction": "minimize" if objective == LOSS else "maximize",
    }
    full = {each["trial"]: each for each in summary["trials"] if each["state"] == "completed"}
    pick = min if objective == LOSS else max
    best = pick(full, key=lambda number: full[number]["rungs"][-1]["value"])
    assert summary["best"]["trial"] == best
    assert summary["best"]["value"] == summary["best"][objective] == study.record(best).value
    for each in summary["trials"]:
        assert [rung["value"] for rung in each["rungs"]] == [rung[objective] for rung in each["rungs"]]


@slow
@whichever
def test_studies_are_compared_by_it_and_not_across_objectives(objective, searched, tmp_path, capsys):
    long = searched(objective, trials=12, folder="long", study="long", seed=2)
    values = {"long": written(long, capsys)["sections"]["ranking"]["trials"][0]["value"]}
    short = searched(objective, trials=2, folder="short", study="short")
    values["short"] = written(short, capsys)["sections"]["ranking"]["trials"][0]["value"]
    assert compare.main(["short", "long", "--studies-dir", str(tmp_path), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    order = sorted(values, key=values.__getitem__, reverse=objective != LOSS)
    studies = found["sections"]["best"]["studies"]
    assert [(each["study"], each["value"]) for each in studies] == [(name, values[name]) for name in order]
    assert found["headline"] == f"{order[0]} is first with {objective} {values[order[0]]:.3f}"
    reached = {
        (each["study"], each["level"]): each["steps"] for each in found["sections"]["levels"]["levels"]
    }
    assert reached[order[0], values[order[0]]] is not None
    assert reached[order[1], values[order[0]]] is None, "never reached"
    assert reached[order[1], values[order[1]]] is not None

    searched("mAP", trials=2, folder="other", study="other")
    assert compare.main(["short", "other", "--studies-dir", str(tmp_path), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["headline"] == "Not comparable: the studies have different objectives"
    assert "levels" not in found["sections"]
    assert found["sections"]["differences"]["conditions"]["objective"] in (
        ["mAP", objective],
        [objective, "mAP"],
    )


@slow
@pytest.mark.parametrize(("objective", "known"), [(ONE_CLASS, True), (SUM, True), (LOSS, False)])
def test_intervals_are_of_it_where_the_results_of_images_can_say_it(objective, known, tmp_path, capsys):
    made_study.make(tmp_path / "street", 8, images=24, objective=objective)
    found = ranking.ranked_trials(ReportContext(reading.read("street", tmp_path)))
    for each in found:
        record = reading.read("street", tmp_path).record(each.trial)
        assert each.value == pytest.approx(expected(objective, record.rungs[-1].metrics))
        assert (each.interval is not None) == known
        if each.interval is not None:
            assert each.interval.low < each.value < each.interval.high
    others = [each for each in found[1:] if each.step == found[0].step]
    assert others
    for each in others:
        assert (each.lead is not None) == known
        if each.lead is not None:
            assert each.lead.value == pytest.approx(found[0].value - each.value, abs=2e-3)
            assert each.lead.low < each.lead.value < each.lead.high
    assert report.main(["street", "--studies-dir", str(tmp_path), "--format", "json"]) == 0
    headline = json.loads(capsys.readouterr().out)["headline"]
    assert headline.startswith(f"{objective} {found[0].value:.3f}")
    assert (" to " in headline) == known


@slow
@whichever
def test_mlflow_has_it_on_every_trials_run_and_the_best_on_the_studys(
    objective, open_study, uri, tmp_path, monkeypatch
):
    monkeypatch.setattr(searches, "CurveTrainer", ContraryTrainer)
    study = open_study(objective=objective)
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90, writer=MLflowWriter)
    search = search_of(study, 5, (tracking,))
    tracking.start()
    run_here(search)
    assert tracking.close() is None

    client, name = MlflowClient(uri), objective.replace("*", "_").replace("+", "_")
    runs = client.search_runs([client.get_experiment_by_name("street").experiment_id])
    parent = next(run for run in runs if "tuning.trial" not in run.data.tags)
    best = study.record(int(parent.data.tags["best_trial"]))
    assert best.number == ReportContext(read(study)).best.number
    assert parent.data.params["objective"] == objective
    assert parent.data.metrics[name] == pytest.approx(best.value)
    told = [point.value for point in client.get_metric_history(parent.info.run_id, name)]
    assert len(told) >= 1
    for run in runs:
        if run is not parent:
            record = study.record(int(run.data.tags["tuning.trial"]))
            points = client.get_metric_history(run.info.run_id, name)
            assert [(p.step, p.value) for p in points] == [(r.step, r.value) for r in record.rungs]
