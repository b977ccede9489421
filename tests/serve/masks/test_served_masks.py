"""A segmentation model behind the same HTTP API: images, video jobs, and canaries judged by masks."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from coloured import CLASSES, scene
from faster_coco_eval.core import mask as coco
from PIL import Image

from serve.masks.drawing import OPACITY, draw
from serve.masks.regions import from_dict, regions
from serve.masks.task import TASK
from serve.video.drawing import COLOURS
from trainers.segmentation.resizing import mask_of

BOXES = {"red": (10, 4, 50, 40), "blue": (60, 20, 90, 50)}


def test_regions_have_area_centroid_box_and_a_mask_that_decodes():
    mask = np.zeros((60, 100), np.uint8)
    mask[20:30, 40:44] = 2
    ground, green = regions(mask, CLASSES)
    assert (ground.name, ground.area) == ("ground", 6000 - 40)
    assert (green.name, green.class_id, green.area) == ("green", 2, 40)
    assert green.centroid == (41.5, 24.5)
    shown = green.to_dict(60, 100)
    assert shown["pixels"] == [40, 20, 44, 30]
    assert shown["box"] == [0.33333, 0.4, 0.5, 0.44]
    assert (coco.decode(json.loads(json.dumps(shown["segmentation"]))) == (mask == 2)).all()
    assert from_dict(shown) == green
    assert [each.name for each in regions(mask, CLASSES, ["green", "red"])] == ["green"]


@pytest.mark.parametrize("seed", range(3))
def test_regions_and_their_drawing_are_those_of_a_plain_computation(seed):
    random = np.random.default_rng(seed)
    height, width = map(int, random.integers(1, 60, 2))
    mask = random.integers(0, len(CLASSES), (height, width)).astype(np.uint8)
    for found in regions(mask, CLASSES):
        rows, columns = np.nonzero(mask == found.class_id)
        assert found.area == len(rows)
        assert found.centroid == pytest.approx((columns.mean(), rows.mean()))
        assert found.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (found.mask(height, width) == (mask == found.class_id)).all()

    image = random.integers(0, 256, (*mask.shape, 3)).astype(np.uint8)
    mixed = image.copy()
    for index in range(1, len(CLASSES)):
        colour = np.array(COLOURS[index])
        mixed[mask == index] = (image[mask == index] * (1 - OPACITY) + colour * OPACITY).astype(np.uint8)
    unnamed = [replace(found, name="") for found in regions(mask, CLASSES)]
    assert (draw(image.copy(), unnamed) == mixed).all()


def test_the_first_class_is_not_drawn_and_the_others_are_mixed_with_the_image():
    image = np.full((60, 100, 3), 200, np.uint8)
    mask = np.zeros((60, 100), np.uint8)
    mask[20:50, 40:90] = 1
    drawn = draw(image.copy(), regions(mask, CLASSES))
    changed = (drawn != image).any(axis=2)
    assert changed[20:50, 40:90].all()
    assert not changed[:15].any()


def logits_of(mask: np.ndarray) -> np.ndarray:
    return np.eye(len(CLASSES), dtype=np.float32)[mask]


def painted(**boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((64, 64), np.uint8)
    for name, (left, top, right, bottom) in boxes.items():
        mask[top:bottom, left:right] = CLASSES.index(name)
    return logits_of(mask)


class Sized:
    """What is used of an Export, without a vote."""

    classes, size = CLASSES, 64
    mask = staticmethod(mask_of)


@pytest.mark.parametrize(
    ("ours", "theirs", "amounts"),
    [
        (painted(red=(0, 0, 9, 9)), painted(red=(0, 0, 9, 9)), (100, 100)),
        (painted(), painted(), (0, 0)),
        (painted(red=(0, 0, 40, 40)), painted(red=(0, 0, 40, 40), blue=(50, 50, 53, 53)), (100, 200)),  # a rare one lost
        (painted(green=(0, 0, 9, 9)), painted(red=(0, 0, 9, 9)), (0, 100)),  # taken for another
        (painted(red=(0, 0, 20, 10)), painted(red=(0, 0, 10, 10)), (200, 100)),  # twice as many pixels
        (painted(red=(0, 0, 9, 9)), painted(), (100, 0)),  # a false alarm
    ],
)  # fmt: skip
def test_two_models_are_compared_class_by_class_however_rare(ours, theirs, amounts):
    assert TASK.compared((Sized, ours), (Sized, theirs)) == amounts


def encoded(boxes: dict[str, tuple[int, int, int, int]]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(scene(60, 100, boxes)).save(buffer, "PNG")
    return buffer.getvalue()


def segmented(server, **query):
    return server.call(
        "POST", "/v1/images:segment", data=encoded(BOXES), headers={"Content-Type": "image/png"}, params=query
    )


@pytest.mark.slow(20)
def test_an_image_is_answered_with_the_region_of_each_class(masks):
    (image,) = segmented(masks).json()["images"]
    assert [each["class"] for each in image["objects"]] == ["ground", "red", "blue"]
    red = image["objects"][1]
    assert red["area"] == pytest.approx(40 * 36, rel=0.05)
    assert red["centroid"] == pytest.approx([29.5, 21.5], abs=0.5)
    assert coco.decode(red["segmentation"])[10:35, 15:45].all()
    (only,) = segmented(masks, classes="blue").json()["images"][0]["objects"]
    assert only["class"] == "blue"


@pytest.mark.slow(5)
def test_what_is_for_detectors_is_refused_and_says_what_to_do(masks, rectangles_folder, tmp_path):
    from clips import make

    image = {"data": encoded(BOXES), "headers": {"Content-Type": "image/png"}}
    answer = masks.call("POST", "/v1/images:detect", **image)
    assert (answer.status_code, answer.json()["detail"]) == (
        409, "the model is for segmentation; use /v1/images:segment",
    )  # fmt: skip
    video = make(tmp_path / "red.mp4", frames=2)
    for option, says in (
        ('{"threshold": 0.5}', "has no scores"),
        ('{"track": true}', "no objects to follow"),
    ):
        answer = masks.submit(video, option)
        assert answer.status_code == 422
        assert says in answer.json()["detail"]
    answer = masks.call("POST", "/v1/model:promote", json={"model": str(rectangles_folder)})
    assert answer.status_code == 422
    assert "a model for object detection, but this server is for segmentation" in answer.json()["detail"]
    assert masks.call("GET", "/v1/model").json()["task"] == "segmentation"


@pytest.mark.slow(5)
def test_a_detector_is_not_asked_for_masks(server):
    answer = server.call(
        "POST", "/v1/images:segment", data=encoded(BOXES), headers={"Content-Type": "image/png"}
    )
    assert (answer.status_code, answer.json()["detail"]) == (
        409, "the model is for object detection; use /v1/images:detect",
    )  # fmt: skip


@pytest.mark.slow(10)
def test_a_video_job_has_a_line_for_each_frame_and_the_masks_drawn_in(masks, tmp_path):
    import av
    from clips import make, position

    job = masks.ended(masks.submit(make(tmp_path / "red.mp4", frames=40), '{"preview": "gif"}').json()["id"])
    assert job["state"] == "done", job["error"]
    lines = masks.call("GET", f"/v1/jobs/{job['id']}/detections").text.splitlines()
    assert len(lines) == 40
    for index in (0, 17, 39):
        red = next(each for each in json.loads(lines[index])["objects"] if each["class"] == "red")
        top, left, bottom, right = position(index)
        assert red["centroid"] == pytest.approx([48 * (left + right), 32 * (top + bottom)], abs=1.5)
        assert red["area"] == pytest.approx(24 * 25.6, rel=0.15)
    results = masks.call("GET", f"/v1/jobs/{job['id']}/coco").json()
    assert {each["category_id"] for each in results} == {0, 1}
    assert coco.decode(results[1]["segmentation"]).sum() == results[1]["area"]
    manifest = masks.call("GET", f"/v1/jobs/{job['id']}/manifest").json()
    assert manifest["model"]["task"] == "segmentation"
    assert "threshold" not in manifest["model"]
    (tmp_path / "found.webm").write_bytes(masks.call("GET", f"/v1/jobs/{job['id']}/video").content)
    with av.open(str(tmp_path / "found.webm")) as video:
        frame = next(video.decode(video=0)).to_ndarray(format="rgb24")
    red = frame[32, 14].astype(int)
    assert red[0] - red[1] < 220  # mixed with the class's colour


@pytest.mark.slow(10)
def test_a_canary_that_loses_a_rare_class_is_rolled_back(masks, folders):
    from servers import wait_for

    image = {"red": (0, 0, 60, 50), "green": (80, 40, 88, 48)}
    answer = masks.call(
        "POST", "/v1/model:promote",
        json={"model": str(folders["blind"]), "canary": 0.5, "images": 20, "jobs": 1},
    )  # fmt: skip
    assert answer.status_code == 202, answer.text

    def judged():
        masks.call("POST", "/v1/images:segment", data=encoded(image), headers={"Content-Type": "image/png"})
        candidate = masks.call("GET", "/v1/model").json()["rollout"]["candidate"]
        return candidate if candidate["phase"] not in ("loading", "canary") else None

    candidate = wait_for(judged, 120)
    assert candidate["phase"] == "rolled back"
    assert "finds 0.50 times as much as the present model" in candidate["why"]


@pytest.mark.slow(10)
def test_a_segmenter_runs_in_this_process(folders, rectangles_folder, tmp_path):
    import serve
    from trainers.errors import UserError

    with serve.Segmenter(folders["good"], backend="openvino", threads=1) as segmenter:
        small, large = segmenter.segment([scene(60, 100, BOXES), scene(120, 200, {})])
        assert (small.mask.shape, large.mask.shape) == ((60, 100), (120, 200))
        assert small.mask[20, 30] == CLASSES.index("red")
        assert not large.mask.any()
        assert [each.name for each in small.regions()] == ["ground", "red", "blue"]
        with pytest.raises(UserError, match="threshold: a segmentation model has no scores"):
            segmenter.annotate(tmp_path / "a.mp4", tmp_path / "b.webm", threshold=0.5)
    with pytest.raises(
        UserError, match="not an export of a segmentation model; give one of a segmentation study"
    ):
        serve.Segmenter(rectangles_folder)
    with pytest.raises(UserError, match="not an export of a detector; give one of a detection study"):
        serve.Detector(folders["good"])
