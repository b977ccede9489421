"""Studies that version 0.1.0 (commit 415c128) made open, resume, report and promote; kept whole in old_studies/."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from searches import run_here

import search_spaces
import tuning
from trainers import recipe as recipes
from trainers.errors import UserError
from tuning import compare, ledger, replay
from tuning.search import sampler as samplers
from tuning.search import scheduler as schedulers
from tuning.search.scheduler import Rules
from tuning.search.search import Search
from tuning.study import manifest
from tuning.study.study import Study

KEPT = Path(__file__).parent / "old_studies"


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    shutil.copytree(KEPT, tmp_path / "studies")
    return tmp_path / "studies"


@pytest.mark.parametrize(("name", "trials"), [("street", 7), ("every", 8)])
def test_it_opens_with_every_trial_as_it_was(studies, name, trials):
    study = tuning.load_study(name, studies)
    summary = json.loads((studies / name / "summary.json").read_text())
    assert study.objective.name == "mAP"
    assert study.best.number == summary["best"]["trial"]
    assert study.best.value == summary["best"]["mAP"]
    assert len(study.trials) == trials
    for record, old in zip(study.trials, summary["trials"], strict=True):
        assert (record.state, record.recipe_id) == (old["state"], old["recipe_id"])
        assert [(r.step, r.value) for r in record.rungs] == [(r["step"], r["mAP"]) for r in old["rungs"]]
        assert recipes.build(record.recipe).recipe_id == old["recipe_id"]


def test_its_recipes_keep_their_ids_though_a_field_has_another_name(studies):
    for path in studies.glob("*/trials/*/recipe.yaml"):
        assert "detector:" in path.read_text()
        recipe = recipes.read(path)
        assert recipe.model in search_spaces.get("all").models
        assert "detector" not in recipe.to_dict()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "space"), [("street", "mobilenet"), ("every", "all")])
def test_it_resumes_under_todays_space_and_goes_on(studies, name, space):
    about = manifest.read(studies / name / "study.json")
    asked = search_spaces.get(space)
    assert asked.hash(about.conditions()) == about.space_hash
    study = Study.open(studies / name, about)
    before = study.records()
    context = samplers.SamplerContext(
        lambda trial: asked.suggest(trial, about.conditions()), about.seed, study.objective
    )
    rules = Rules((30, 90), about.reduction_factor, 2)
    search = Search(study, samplers.make("tpe", context), schedulers.make("promote", rules), len(before) + 3)
    run_here(search)
    records = study.records()
    study.close()
    assert records[: len(before)] == before
    assert len(records) == len(before) + 3
    assert all(record.verdict is not None and record.verdict.final for record in records)


def test_it_is_refused_another_objective(studies):
    about = manifest.read(studies / "street" / "study.json")
    with pytest.raises(UserError, match="was begun with --objective mAP, now it is mAP50"):
        Study.open(studies / "street", manifest.dataclasses.replace(about, objective="mAP50"))


@pytest.mark.slow
def test_it_is_reported_compared_and_replayed(studies, capsys):
    report = json.loads(tuning.load_study("every", studies).report("json"))
    assert report["sections"]["ranking"]["trials"][0]["state"] == "completed"
    assert report["sections"]["detectors"]["detectors"]
    for command in (
        [compare, "street", "every"], [ledger, "street"], [replay, "street", "--seeds", "1"],
    ):  # fmt: skip
        assert command[0].main([*command[1:], "--studies-dir", str(studies)]) == 0
    assert "mAP" in capsys.readouterr().out
