"""Where trials start: on one's own images from published weights where they can be had, on the toy city from scratch."""

from __future__ import annotations

import pytest
from zoo_server import ARCHIVE, NAME, write_archive
from zoo_variables import published_variables

from trainers.errors import UserError
from trainers.object_detection_api.checkpoints.weights import Start
from trainers.recipe import InitialWeights
from tuning.api import initial_weights
from tuning.api.initial_weights import NEEDED, Resolved, wanted


@pytest.mark.parametrize(
    ("choice", "preset", "own_data", "expected"),
    [
        ("auto", "laptop", False, "none"),
        ("auto", "laptop", True, "zoo"),
        ("auto", "zoo", False, "zoo"),
        ("none", "zoo", True, "none"),
        ("zoo", "laptop", False, "zoo"),
        ("weights/ckpt-0", "laptop", True, "weights/ckpt-0"),
    ],
)
def test_what_is_asked_for_depends_on_the_preset_and_whose_images_they_are(
    choice, preset, own_data, expected
):
    assert wanted(choice, preset, own_data) == expected


@pytest.mark.slow
def test_where_none_can_be_had_trials_start_from_scratch_and_what_would_help_is_said():
    found = initial_weights.resolve("zoo", "laptop", (NAME,), asked=False)
    assert found.weights.source == "none"
    reason, needed = found.messages
    assert "COCO weights are not available (file:///no/such/zoo/" in reason
    assert needed == NEEDED


@pytest.mark.slow
def test_published_weights_that_were_asked_for_and_cannot_be_had_are_an_error():
    with pytest.raises(UserError, match=r"^--weights zoo: COCO weights are not available"):
        initial_weights.resolve("zoo", "laptop", (NAME,))


def test_a_model_that_was_published_without_starts_from_scratch_unless_weights_were_asked_for():
    assert initial_weights.resolve("zoo", "laptop", ("fcn",), asked=False).weights.source == "none"
    with pytest.raises(
        UserError, match="--weights zoo: fcn can only start from scratch; give --weights none"
    ):
        initial_weights.resolve("zoo", "laptop", ("fcn",))


@pytest.mark.slow
def test_trials_at_laptop_size_start_from_published_weights(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / "made.tar.gz", published_variables(NAME))
    archive.rename(tmp_path / f"{ARCHIVE}.tar.gz")
    monkeypatch.setenv("DETECTOR_ZOO_URL", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = initial_weights.resolve("zoo", "laptop", (NAME,), asked=False)
    assert found.weights.source == "zoo"
    assert set(found.zoo_sha256) == {NAME}
    assert found.weights.part == "boxes"
    assert found.taken_over(["vehicle", "tram"]) == [
        "classes taken over from the weights by name: vehicle (car)"
    ]


@pytest.mark.parametrize(
    ("part", "known", "said"),
    [
        ("boxes", (), "names of the weights' classes are unknown"),
        ("boxes", ("boat",), "the weights know none of the classes"),
        ("boxes", ("boat", "car"), "classes taken over from the weights by name: car"),
    ],
)
def test_what_becomes_of_the_classes_is_said(part, known, said):
    start = Resolved(InitialWeights(source="zoo", part=part), [], start=Start("zoo", "", classes=known))
    (line,) = start.taken_over(["car", "tram"])
    assert said in line
    assert start.as_begun("detection").weights.part == "detection"  # as earlier versions did
    assert not start.as_begun("detection").taken_over(["car"])
