"""A study that the first versions wrote, with their words for things, is read and goes on as if it were of today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from searches import OBJECTIVE, about, run_here, search_of

from trainers import recipe as recipes
from trainers.errors import UserError
from tuning.study import manifest, reading
from tuning.study.study import Study
from tuning.study.trial_record import OLD_DECISIONS, Rung

NEW_IN_MANIFEST = ("task", "objective", "sampler", "id")
OLD_WORDS = {decision: old for old, decision in OLD_DECISIONS.items()}


def in_old_words(value: Any) -> Any:
    """JSON values as the first versions wrote them: `detector` in a recipe, mAP and its decisions at a rung."""
    if isinstance(value, list):
        return [in_old_words(each) for each in value]
    if not isinstance(value, dict):
        return value
    names = {"model": "detector"} if "schedule" in value else {"value": "mAP"} if "decision" in value else {}
    old = {names.get(name, name): in_old_words(each) for name, each in value.items()}
    return old | ({"decision": OLD_WORDS[old["decision"]]} if "decision" in old else {})


def made_old(study: Study) -> None:
    study.close()
    journal, about = study.folder / "optuna.journal", study.folder / "study.json"
    lines = [json.dumps(in_old_words(json.loads(line))) for line in journal.read_text().splitlines()]
    journal.write_text("".join(f"{line}\n" for line in lines))
    fields = json.loads(about.read_text())
    about.write_text(json.dumps({name: each for name, each in fields.items() if name not in NEW_IN_MANIFEST}))
    assert '"detector": "mobilenet"' in journal.read_text()
    assert '"decision": "goes on"' in journal.read_text()
    assert '"model"' not in journal.read_text()


@pytest.mark.slow
def test_an_old_study_reads_as_it_did_and_goes_on_with_the_same_trials(open_study):
    run_here(search_of(open_study("whole"), 12, mode="promote"))
    study = open_study("old")
    search = search_of(study, 12, mode="promote")
    run_here(search, steps=7)
    search.interrupt()
    before = study.records()
    made_old(study)

    read = reading.read(str(study.folder), study.folder.parent)
    assert read.records == before
    assert read.manifest == about()
    study = open_study("old")
    assert study.records() == before
    run_here(search_of(study, 12, mode="promote"))
    again = [(record.recipe_id, record.state, record.step) for record in study.records()]
    whole = [(record.recipe_id, record.state, record.step) for record in open_study("whole").records()]
    assert again == whole


def test_an_old_study_is_one_of_detection_by_its_map(open_study):
    made_old(completed(open_study))
    with pytest.raises(UserError, match="was begun with --objective mAP, now it is mAP50"):
        open_study(objective="mAP50")
    with pytest.raises(UserError, match="was begun with --sampler tpe, now it is random"):
        open_study(sampler="random")


def completed(open_study) -> Study:
    study = open_study()
    run_here(search_of(study, 1))
    return study


def test_an_old_recipe_file_and_an_old_rung_are_read(open_study, tmp_path: Path):
    record = completed(open_study).records()[0]
    fields = in_old_words(dict(record.recipe))
    assert fields["detector"] == "mobilenet"
    assert recipes.build(fields).recipe_id == record.recipe_id
    (tmp_path / "recipe.yaml").write_text(recipes.build(fields).to_yaml().replace("model:", "detector:"))
    assert recipes.read(tmp_path / "recipe.yaml").recipe_id == record.recipe_id
    for rung in record.rungs:
        assert Rung.from_dict(in_old_words(rung.to_dict()), OBJECTIVE, record.recipe) == rung
        assert Rung.from_dict(json.loads(json.dumps(rung.to_dict())), OBJECTIVE, record.recipe) == rung


def test_a_manifest_of_a_task_or_an_objective_that_is_gone_is_one_line(open_study):
    study = completed(open_study)
    study.close()
    path = study.folder / "study.json"
    kept = json.loads(path.read_text())
    for changes, says in (
        ({"task": "pose"}, "unknown task 'pose'; known are "),
        ({"objective": "F1"}, "--objective F1: unknown metric 'F1'; metrics: mAP, "),
    ):
        path.write_text(json.dumps(kept | changes))
        with pytest.raises(UserError) as refused:
            manifest.read(path).resolved_objective()
        assert str(refused.value).startswith(says)
        assert "\n" not in str(refused.value)
