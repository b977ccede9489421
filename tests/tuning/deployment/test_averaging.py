"""The weights of the best trial are averaged with others', if that gains on images that did not decide it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import toy_task

from trainers import export as exports
from trainers.errors import UserError
from tuning.api.deployment import export_results
from tuning.api.deployment.averaging import Averaged, make
from tuning.api.deployment.export_results import AVERAGE

RECIPE = {"model": "paraboloid", **toy_task.MODEL.presets["laptop"]}
DATA = {**dict.fromkeys(("format", "group_by")), "given": None, "fingerprint": "5109e"}


def trials(folder: Path, *places: tuple[float, float]) -> list[str]:
    """The folders of trials of a study that ended at these places; the floor of the valley is about 0, 0."""
    found = []
    for number, place in enumerate(places):
        trial = folder / "study" / "trials" / str(number)
        checkpoint = trial / "checkpoint-90"
        checkpoint.mkdir(parents=True)
        (checkpoint / "place.json").write_text(json.dumps({"step": 90, "place": place}))
        (trial / "recipe.yaml").write_text(json.dumps(RECIPE))
        found.append(str(trial))
    return found


def averaged(folders: list[str], lines: list[str] | None = None, **more: Any) -> Averaged:
    job = {
        "trials": folders, "data": DATA, "objective": "height", "write": False, "trainer": None,
        "about": {"study": "study", "trial": 0}, "modules": [],
    }  # fmt: skip
    found = make(job | more, (lines if lines is not None else []).append)
    return Averaged(**{**found, "trials": tuple(found["trials"])})


def test_a_trial_joins_if_the_average_is_better_and_is_left_out_if_not(tmp_path):
    lines: list[str] = []
    found = averaged(trials(tmp_path, (2, 2), (9, 9), (-2, -2)), lines)
    assert found.trials == (0, 2)
    assert lines[1].endswith("left out")
    assert found.after < 1 < found.before
    assert found.images == toy_task.SAMPLES // 2
    assert found.gained
    assert found.low <= found.before - found.after <= found.high
    assert found.lines()[0] == "average of trials 0 and 2"


def test_where_no_trial_joins_nothing_is_gained_and_nothing_written(tmp_path):
    folders = trials(tmp_path, (0, 0), (9, 9))
    found = averaged(folders, write=True)
    assert found.trials == (0,)
    assert not found.gained
    assert found.lines() == ["no other trial makes the average better"]
    assert not (Path(folders[0]) / "export").exists()


def test_the_export_has_the_averaged_weights_and_says_whose(tmp_path):
    folders = trials(tmp_path, (2, 2), (-2, -2))
    averaged(folders, write=True)
    export = exports.read(Path(folders[0]) / "export")
    assert export.manifest["place"] == [0, 0]
    assert export.manifest[AVERAGE]["trials"] == [0, 1]
    assert export.manifest["trial"] == 0


def test_a_checkpoint_that_is_gone_is_named(tmp_path):
    folders = trials(tmp_path, (2, 2), (-2, -2))
    (Path(folders[1]) / "checkpoint-90").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"trials/1: its checkpoint is gone"):
        averaged(folders)


def test_what_follows_the_network_is_tuned_on_results_of_the_averaged_one(tmp_path):
    folders = trials(tmp_path, (2, 2), (-2, -2))
    trial = Path(folders[0])
    toy_task.DESCENT.write_results(trial, 90, [20.0, 20.0])
    assert export_results.read(toy_task.DESCENT, trial, 90) == [20.0, 20.0]
    averaged(folders, write=True)
    found = export_results.read(toy_task.DESCENT, trial, 90)
    assert len(found) == toy_task.SAMPLES
    assert max(found) < 10
    assert exports.read(trial / "export").manifest["place"] == [0, 0]
