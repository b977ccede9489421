"""What evaluation measures on a data set is what pycocotools measures on the file that it was read from."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from typing import Any

import numpy as np
import pytest
from generated_coco import CLASSES, HEIGHT, WIDTH, detections, write_folder

from trainers.datasets.opening import load
from trainers.datasets.records.reading import read_images
from trainers.detection.coco_metrics import COCO_NAMES, ImageResult, evaluate
from trainers.detection.resampled import resampled
from trainers.detection.truth import truth_of

NAMES = [*COCO_NAMES, *(f"AP/{name}" for name in CLASSES)]


def results(folder, cache, content: dict[str, Any], found: list[dict[str, Any]]) -> list[ImageResult]:
    """The data set in `folder`, opened as for a search, and these detections in its validation images."""
    dataset = load(folder, cache)
    assert dataset.classes == CLASSES
    ids = {image["file_name"]: image["id"] for image in content["images"]}
    scale = np.array([HEIGHT, WIDTH, HEIGHT, WIDTH])
    images = []
    for image in read_images(dataset.validation.files):
        true = truth_of(image)
        mine = [each for each in found if each["image_id"] == ids[image.name.rpartition("/")[2]]]
        x, y, width, height = np.array([each["bbox"] for each in mine]).reshape(-1, 4).T
        images.append(
            ImageResult(
                HEIGHT, WIDTH, true.boxes * scale, true.classes, true.crowd,
                boxes=np.stack([y, x, y + height, x + width], axis=1),
                classes=np.array([each["category_id"] // 7 - 1 for each in mine], int),
                scores=np.array([each["score"] for each in mine]),
                ignored=true.ignored, areas=true.areas,
            )
        )  # fmt: skip
    assert len(images) == len(content["images"])
    return images


def by_pycocotools(content: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    numbers = dict(zip(COCO_NAMES, evaluation.stats, strict=True))
    for place, name in enumerate(CLASSES):
        of_class = evaluation.eval["precision"][:, :, place, 0, -1]
        numbers[f"AP/{name}"] = of_class[of_class > -1].mean() if (of_class > -1).any() else -1
    return numbers


def equal(ours: dict[str, float], theirs: dict[str, float]) -> None:
    assert ours == pytest.approx(theirs, abs=1e-6)


quick_or_slow = [seed if seed < 2 else pytest.param(seed, marks=pytest.mark.slow(1)) for seed in range(20)]


@pytest.mark.parametrize("seed", quick_or_slow)
def test_all_numbers_are_those_of_pycocotools_on_the_original_file(tmp_path, seed):
    content = write_folder(tmp_path / "street", seed)
    found = detections(content, seed)
    images = results(tmp_path / "street", tmp_path / "cache", content, found)
    assert max(len(each.true_classes) for each in images) == 150
    theirs = by_pycocotools(content, found)
    assert (theirs["AP/tram"], theirs["AP/sign"]) == (-1, -1)
    assert theirs["mAP_small"] > 0
    equal(evaluate(images, CLASSES), theirs)
    (once,) = resampled(images, CLASSES, [np.ones((1, len(images)), int)], ["mAP_small"])["mAP_small"]
    assert once[0] == pytest.approx(theirs["mAP_small"], abs=1e-6)


@pytest.mark.parametrize("seed", quick_or_slow[::10])
@pytest.mark.parametrize("flag", ["ignore", "difficult"])
def test_a_difficult_object_is_one_of_a_size_that_no_number_counts(tmp_path, seed, flag):
    content = write_folder(tmp_path / "street", seed)
    random = np.random.default_rng(seed)
    difficult = {
        each["id"] for each in content["annotations"] if random.random() < 0.3 and not each["iscrowd"]
    }
    outside = copy.deepcopy(content)
    for each, same in zip(content["annotations"], outside["annotations"], strict=True):
        each[flag] = int(each["id"] in difficult)
        if each[flag]:
            same["area"] = 1e11  # beyond COCO's largest range: stock pycocotools ignores it
    (tmp_path / "street/annotations/instances_val.json").write_text(json.dumps(content))
    found = detections(content, seed)
    images = results(tmp_path / "street", tmp_path / "cache", content, found)
    equal(evaluate(images, CLASSES), by_pycocotools(outside, found))


def test_where_nothing_is_found_the_numbers_are_those_of_pycocotools(tmp_path):
    content = write_folder(tmp_path / "street", 3)
    one = [{"image_id": content["images"][1]["id"], "category_id": 28, "bbox": [1, 1, 5, 5], "score": 0.5}]
    nothing = results(tmp_path / "street", tmp_path / "cache", content, [])
    equal(evaluate(nothing, CLASSES), by_pycocotools(content, one))
