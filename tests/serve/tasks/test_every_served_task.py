"""The contract of a task that the service runs, held by every registered one."""

from __future__ import annotations

import importlib.util
import json

import coloured
import numpy as np
import pytest
import rectangles

from serve import backends, tasks
from serve.api.app import create_app
from serve.deployment.database import Database
from serve.deployment.settings import Settings
from serve.jobs.options import Options
from serve.tasks.task import frame_line
from trainers import task as trained
from trainers.errors import UserError

# task -> writes one of its exports, and draws an image in which it finds something
MADE = {
    "detection": (rectangles.build, lambda: rectangles.picture(60, 100, {"red": (0.2, 0.2, 0.7, 0.6)})),
    "segmentation": (coloured.build, lambda: coloured.scene(60, 100, {"red": (20, 12, 60, 42)})),
}


@pytest.fixture(params=tasks.MODULES)
def task(request):
    return tasks.get(request.param)


@pytest.fixture(scope="module", params=tasks.MODULES)
def found(request, tmp_path_factory):
    """A task, one of its exports, an image, and the network's results for the samples and for the image."""
    build, picture = MADE[request.param]
    task, folder = tasks.get(request.param), build(tmp_path_factory.mktemp("export") / request.param)
    export, image = tasks.read(folder), picture()
    backend = backends.load("openvino", export, 1)
    results = backend.run(task.sample_squares(export))
    return task, export, image, results, backend.run(export.square(image)[np.newaxis])[0]


def test_its_name_its_route_and_its_backends_are_there(task, tmp_path):
    assert trained.get(task.name).name == task.name
    assert task.title
    settings = Settings(data=tmp_path)
    Database(tmp_path, create=True)
    assert f"/v1/images:{task.verb}" in create_app(settings, None).openapi()["paths"]
    assert {"openvino", "tensorflow"} <= set(task.backends)
    for place in task.backends.values():
        module, _, name = place.partition(":")
        assert importlib.util.find_spec(module) is not None
        assert name.isidentifier()
    task.check(Options())


def test_a_task_that_is_not_served_is_refused_with_those_that_are():
    with pytest.raises(
        UserError, match="models for 'depth' cannot be served; served are detection, segmentation"
    ):
        tasks.get("depth")


@pytest.mark.slow(20)
def test_its_exports_are_read_by_it_and_by_no_other(found):
    task, export, *_ = found
    assert tasks.of(export) is task
    assert task.read(export.directory) == export
    for other in tasks.MODULES.keys() - {task.name}:
        with pytest.raises(UserError, match="not an export of a"):
            tasks.get(other).read(export.directory)


@pytest.mark.slow(1)
def test_its_own_results_pass_the_checks(found):
    task, export, _, results, result = found
    compared = task.parity(export, results)
    assert compared.problem is None
    assert compared.figures
    square, expected = task.health_sample(export)
    assert square.shape == (export.size, export.size, 3)
    assert expected > 0
    assert task.problem(export, result, expected) is None
    assert task.count(export, result) >= 1
    assert (
        task.compared((export, result), (export, result))[0]
        == task.compared((export, result), (export, result))[1]
        > 0
    )


@pytest.mark.slow(1)
def test_what_it_finds_survives_json_is_drawn_and_becomes_coco_results(found):
    task, export, image, _, result = found
    height, width = image.shape[:2]
    findings = list(task.findings(result, export, Options(), height, width))
    assert "red" in {each.name for each in findings}
    line = json.loads(frame_line(7, 0.28, findings, height, width))
    again = [task.from_dict(each) for each in line["objects"]]
    assert [each.to_dict(height, width) for each in again] == line["objects"]
    coco = list(task.coco_results(line))
    assert len(coco) == len(findings)
    assert all(each["image_id"] == 7 and {"category_id", "bbox", "score"} <= set(each) for each in coco)
    drawn = task.draw(image.copy(), again)
    assert (drawn.shape, drawn.dtype) == (image.shape, np.uint8)
    assert (drawn != image).any()
    only = task.findings(result, export, Options(classes=("blue",)), height, width)
    assert not list(only)


@pytest.mark.slow(1)
def test_a_reader_that_replayed_a_frame_goes_on_like_the_one_that_read_it(found):
    task, export, image, _, result = found
    height, width = image.shape[:2]
    first, second = (task.reader(export, Options()) for _ in range(2))
    shown = first.read(result, height, width)
    second.replay(shown)
    assert first.read(result, height, width) == second.read(result, height, width)
