"""Fields that change nothing in training are tuned on a checkpoint; the gain is of images that did not decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import toy_task

from trainers import export as exports
from trainers.errors import UserError
from trainers.files import write_text
from tuning.api.deployment import export_results
from tuning.api.deployment.after_training import Chosen, make
from tuning.api.deployment.export_results import AVERAGE, TUNED

RECIPE = {"model": "paraboloid", **toy_task.MODEL.presets["laptop"]}
VALUES = {"aside": [0.0, -1.0, -2.0]}
DATA = {**dict.fromkeys(("format", "group_by")), "given": None, "fingerprint": "5109e"}


def trial(folder: Path, place: tuple[float, float], **fields: Any) -> Path:
    """The folder of a trial that ended at this place; the floor of the valley is about 0, 0."""
    found = folder / "study" / "trials" / "0"
    checkpoint = found / "checkpoint-90"
    checkpoint.mkdir(parents=True)
    (checkpoint / "place.json").write_text(json.dumps({"step": 90, "place": place}))
    (found / "recipe.yaml").write_text(json.dumps(RECIPE | fields))
    return found


def chosen(folder: Path, lines: list[str] | None = None, **more: Any) -> Chosen:
    job = {
        "trials": [str(folder)], "data": DATA, "objective": "height", "values": VALUES, "write": False, "trainer": None,
        "about": {"study": "study", "trial": 0}, "modules": [],
    }  # fmt: skip
    return Chosen(**make(job | more, (lines if lines is not None else []).append))


def test_each_field_is_tried_with_the_best_of_those_before_it_beginning_with_the_recipes_own(tmp_path):
    lines: list[str] = []
    values = {"aside": [0.0, -1.0], "steepness": [4.0, 1.0]}
    found = chosen(trial(tmp_path, (1.0, 1.0)), lines, values=values)
    assert [line.partition(":")[0] for line in lines] == [
        "aside 0.0, steepness 4.0", "aside -1.0, steepness 4.0", "aside -1.0, steepness 1.0",
    ]  # fmt: skip
    assert found.fields == {"aside": -1.0, "steepness": 1.0}


def test_the_best_values_are_chosen_and_the_gain_has_an_interval(tmp_path):
    lines: list[str] = []
    found = chosen(trial(tmp_path, (1.0, 1.0)), lines)
    assert [line.partition(":")[0] for line in lines] == ["aside 0.0", "aside -1.0", "aside -2.0"]
    assert (found.given, found.fields) == ({"aside": 0.0}, {"aside": -1.0})
    assert found.images == toy_task.SAMPLES
    assert found.gained
    assert 0 < found.low <= found.before - found.after <= found.high


def test_a_choice_that_the_images_do_not_agree_on_gains_nothing(tmp_path):
    """About half way between two values, the valley's floor is about as near to the one as to the other."""
    found = chosen(trial(tmp_path, (0.58, 0.58)))
    assert not found.gained
    assert found.low < 0 < found.high


def test_where_the_recipe_has_the_best_values_nothing_is_written(tmp_path):
    folder = trial(tmp_path, (0.0, 0.0))
    found = chosen(folder, write=True)
    assert found.lines() == ["the recipe's own values are the best: aside 0.0"]
    assert not (folder / "export").exists()


def test_the_export_is_made_with_them_and_says_what_they_gain(tmp_path):
    folder = trial(tmp_path, (1.0, 1.0))
    found = chosen(folder, write=True)
    manifest = exports.read(folder / "export").manifest
    assert manifest["place"] == [0, 0]
    assert manifest[TUNED]["fields"] == {"aside": -1.0}
    assert manifest[TUNED]["after"] == pytest.approx(found.after)
    assert manifest["trial"] == 0


def test_an_export_with_averaged_weights_is_not_replaced(tmp_path):
    folder = trial(tmp_path, (1.0, 1.0))
    export = folder / "export"
    export.mkdir()
    write_text(export / "place.json", "[0, 0]")
    exports.seal(export, {"place": [0, 0], "step": 90, AVERAGE: {"trials": [0, 1]}})
    with pytest.raises(UserError, match="has the average of several trials' weights"):
        chosen(folder, write=True)
    assert chosen(folder).gained


def test_a_checkpoint_that_is_gone_is_named(tmp_path):
    folder = trial(tmp_path, (1.0, 1.0))
    (folder / "checkpoint-90").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"trials/0: its checkpoint is gone"):
        chosen(folder)


def test_what_follows_the_network_is_tuned_on_results_with_the_chosen_values(tmp_path):
    folder = trial(tmp_path, (1.0, 1.0))
    toy_task.DESCENT.write_results(folder, 90, [20.0, 20.0])
    found = chosen(folder, write=True)
    results = export_results.read(toy_task.DESCENT, folder, 90)
    assert sum(results) / len(results) == pytest.approx(found.after, abs=1e-6)
    assert exports.read(folder / "export").manifest[TUNED]["fields"] == {"aside": -1.0}


def test_an_export_of_an_earlier_version_without_such_results_is_refused(tmp_path):
    folder = trial(tmp_path, (1.0, 1.0))
    (folder / "export").mkdir()
    exports.seal(folder / "export", {"step": 90, TUNED: {"fields": {"aside": -1.0}}})
    with pytest.raises(UserError, match="has another network than the trial"):
        export_results.read(toy_task.DESCENT, folder, 90)
