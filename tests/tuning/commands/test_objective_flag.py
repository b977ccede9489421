"""`--objective`: what it takes, and that a study keeps the one that it was begun with."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import searches
from contrary_trainer import ContraryTrainer
from curve_trainer import CurveTrainer
from searches import CONDITIONS, SPACE, about, run_here, search_of

from trainers.datasets.opening import open_dataset
from trainers.detection.task import DETECTION
from trainers.errors import UserError
from trainers.metrics import Metrics
from tuning.api import earlier_study
from tuning.api.settings import Settings
from tuning.run import main
from tuning.search.space_adapter import SpaceAdapter
from tuning.search.warm_start import WarmStart, warm_start
from tuning.study.study import Study
from tuning.tracking.callback import Tracking
from tuning.tracking.mlflow_writer import MLflowWriter

ONE_CLASS, SUM = "AP/pedestrian", "0.7*mAP+0.3*mAP_small"
CITY = "toy-city:train_images=6,validation_images=3"


@pytest.mark.slow
def test_a_study_goes_on_under_its_own_objective_alone(tmp_path, capsys):
    words = ["--space", "mobilenet", "--data", CITY, "--studies-dir", str(tmp_path), "--study", "street"]
    settings = Settings("mobilenet", data=CITY, studies_dir=tmp_path, study="street", objective=ONE_CLASS)
    dataset = open_dataset(CITY, tmp_path / "data")
    made = settings.manifest(dataset, SPACE, settings.conditions(None))
    Study.open(tmp_path / "street", made).close()
    before = (tmp_path / "street" / "study.json").read_bytes()
    for asked, now in (
        ([], "mAP"),
        (["--objective", "0.5*mAP+0.5*AP/pedestrian"], "0.5*mAP+0.5*AP/pedestrian"),
    ):
        assert main([*words, *asked]) == 2
        said = capsys.readouterr().err
        assert said == (
            f"error: {tmp_path / 'street'}: was begun with --objective AP/pedestrian, now it is {now}; "
            "use the same, or give another --study name\n"
        )
    assert (tmp_path / "street" / "study.json").read_bytes() == before


def test_a_study_of_the_first_versions_is_one_of_map(open_study):
    study = open_study()
    path = study.folder / "study.json"
    study.close()
    kept = json.loads(path.read_text())
    path.write_text(
        json.dumps({name: kept[name] for name in kept if name not in ("objective", "task", "sampler")})
    )
    assert open_study().objective.name == "mAP"
    with pytest.raises(UserError, match="was begun with --objective mAP, now it is mAP50"):
        open_study(objective="mAP50")


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        ("mAP_smal", ["unknown metric 'mAP_smal'; did you mean mAP_small?", "mAP, mAP50, mAP75", "AR_large"]),
        ("0.7*mAP+0.3*fog", ["unknown metric 'fog'; metrics: mAP, mAP50"]),
        ("0*mAP", ["the weight of mAP must be above 0, not 0"]),
        ("mAP+", ["not a metric or a weighted sum of metrics such as 0.7*A+0.3*B; metrics: mAP"]),
        ("AP/bus", ["unknown metric 'AP/bus'", "AP/vehicle, AP/pedestrian, AP/cyclist", "validation_loss/total"]),
        ("mAP+validation_loss/total", ["cannot add metrics to maximize and metrics to minimize"]),
    ],
)  # fmt: skip
def test_an_objective_that_the_task_does_not_offer_is_one_line_with_what_it_offers(
    objective, says, tmp_path, capsys
):
    words = ["--space", "mobilenet", "--data", CITY, "--studies-dir", str(tmp_path / "studies")]
    assert main([*words, "--objective", objective]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: --objective {objective}: ")
    assert said.count("\n") == 1
    for part in says:
        assert part in said
    assert not list(tmp_path.glob("studies/*/study.json"))


def test_an_objective_that_the_images_cannot_measure_is_said_and_no_trial_is_worth_it(
    open_study, monkeypatch
):
    class NoSmallBox(CurveTrainer):
        def evaluate(self, images: int | None = None) -> Metrics:
            found = super().evaluate(images)
            return Metrics(self.step, {**found.values, "mAP_small": -1.0}, found.losses, found.images, 0.0)

    monkeypatch.setattr(searches, "CurveTrainer", NoSmallBox)
    study = open_study(objective=SUM)
    with pytest.raises(UserError, match=r"mAP_small cannot be measured on these validation images"):
        run_here(search_of(study, 2))
    assert study.record(0).rungs == ()


def warm(source: str, studies: Path, uri: str, objective: str) -> WarmStart:
    """What a new search for the objective takes from the earlier study."""
    found = earlier_study.read(source, studies, uri, functools.partial(DETECTION.objective, objective))
    return warm_start(found, about(objective=objective), SpaceAdapter(SPACE, CONDITIONS))


@pytest.mark.slow
@pytest.mark.parametrize("objective", [ONE_CLASS, SUM, "validation_loss/total"])
def test_a_warm_start_takes_the_best_by_the_new_objective_whatever_the_earlier_one_was(
    objective, open_study, uri, tmp_path, monkeypatch
):
    monkeypatch.setattr(searches, "CurveTrainer", ContraryTrainer)
    study = open_study()
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90, writer=MLflowWriter)
    search = search_of(study, 9, (tracking,))
    tracking.start()
    run_here(search)
    assert tracking.close() is None
    wanted = DETECTION.objective(objective, ("vehicle", "pedestrian"))
    full = {
        record.number: wanted.score(record.rungs[-1].metrics)
        for record in study.records()
        if record.state == "completed"
    }
    best = max(full, key=lambda number: full[number].key)
    for source in ("street", "mlflow:street"):
        found = warm(source, tmp_path, uri, objective)
        assert found.seeds[0].name == f"{source} trial {best}"
        assert found.seeds[0].source == f"warm start: {objective} {full[best].value:.3f} at step 90 there"
        assert not found.prior_trials, "another objective was learned by another study"
    again = warm("street", tmp_path, uri, "mAP")
    assert len(again.prior_trials) + len(again.seeds) == 9  # which know their results
    assert again.seeds[0].source.startswith("warm start: mAP ")


@pytest.mark.slow
def test_a_warm_start_from_a_study_that_did_not_measure_the_objective_is_one_line(open_study, uri, tmp_path):
    study = open_study()
    run_here(search_of(study, 1))
    with pytest.raises(UserError, match="none of its trials measured validation_loss/localization"):
        warm("street", tmp_path, uri, "validation_loss/localization")
