"""`--objective`: what it takes, and that a study keeps the one that it was begun with."""

from __future__ import annotations

import json

import pytest
import searches
from curve_trainer import CurveTrainer
from searches import SPACE, run_here, search_of

from trainers.datasets.opening import open_dataset
from trainers.errors import UserError
from trainers.metrics import Metrics
from tuning.api.settings import Settings
from tuning.run import main
from tuning.study.study import Study

ONE_CLASS, SUM = "AP/pedestrian", "0.7*mAP+0.3*mAP_small"
CITY = "toy-city:train_images=6,validation_images=3"


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
