"""The metrics of segmentation equal independent implementations of them, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from trainers.segmentation import final_score
from trainers.segmentation.metrics import ImageResult, confusion, evaluate, measured
from trainers.segmentation.task import SEGMENTATION

CLASSES = ("background", "people", "target")
IGNORE = 255


def masks(seed: int, count: int = 12, classes: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """True and predicted masks of several sizes; some true pixels are ignored."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        shape = tuple(random.integers(3, 20, 2))
        true = random.integers(0, classes, shape).astype(np.uint8)
        guess = np.where(random.random(shape) < 0.6, true, random.integers(0, classes, shape)).astype(
            np.uint8
        )
        true[random.random(shape) < 0.1] = IGNORE
        found.append((true, guess))
    return found


def results_of(pairs, sets=None):
    sets = sets or [""] * len(pairs)
    return [
        ImageResult(confusion(true, guess, len(CLASSES)), scored=scored)
        for (true, guess), scored in zip(pairs, sets, strict=True)
    ]


def flat(pairs):
    true, guess = (np.concatenate([each.ravel() for each in side]) for side in zip(*pairs, strict=True))
    return true[true != IGNORE], guess[true != IGNORE]


@pytest.mark.parametrize("seed", range(5))
def test_iou_and_accuracy_equal_counting_pixels_and_scikit_learn(seed):
    pairs = masks(seed)
    found = evaluate(results_of(pairs), CLASSES)
    true, guess = flat(pairs)
    iou = []
    for i, name in enumerate(CLASSES):
        both, either = ((true == i) & (guess == i)).sum(), ((true == i) | (guess == i)).sum()
        iou.append(both / either)
        assert found[f"IoU/{name}"] == pytest.approx(iou[-1], abs=1e-9)
    assert jaccard_score(true, guess, average=None) == pytest.approx(iou, abs=1e-9)
    assert found["mIoU"] == pytest.approx(np.mean(iou), abs=1e-9)
    assert found["pixel_accuracy"] == pytest.approx((true == guess).mean(), abs=1e-9)
    assert found["score"] == found["mIoU"]
    assert set(found) <= set(SEGMENTATION.metrics(CLASSES))


def test_a_class_that_neither_truth_nor_prediction_has_is_not_measured():
    zeros = np.zeros((4, 4), np.uint8)
    found = evaluate(results_of([(zeros, zeros)]), CLASSES)
    assert (found["IoU/people"], found["IoU/target"]) == (-1.0, -1.0)
    assert found["mIoU"] == found["IoU/background"] == 1.0


def frame(true: int, predicted: int, both: int, side: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Masks with so many pixels of the target in truth, in prediction, and in both."""
    truth, guess = np.zeros(side * side, np.uint8), np.zeros(side * side, np.uint8)
    truth[:true] = 2
    guess[true - both : true - both + predicted] = 2
    return truth.reshape(side, side), guess.reshape(side, side)


# (true, predicted, both) pixels of the target, its set, and what the frame counts as
FRAMES = [
    ((20, 20, 10), "following", "hit"),  # IoU 10 / 30
    ((20, 3, 3), "following", "miss"),  # 3 predicted pixels are none; IoU 3 / 20
    ((0, 0, 0), "following", None),  # no union: IoU 0
    ((0, 4, 0), "patrol_without_target", "alarm"),
    ((3, 3, 3), "patrol_without_target", None),  # 3 pixels are none on both sides
    ((3, 9, 3), "patrol_without_target", "alarm"),
    ((4, 8, 4), "patrol_with_target", "hit"),  # IoU 4 / 8
    ((2, 2, 1), "patrol_with_target", None),  # IoU 1 / 3, though neither hit nor miss
]


def test_the_final_score_of_frames_made_by_hand():
    pairs = [frame(*pixels) for pixels, _, _ in FRAMES]
    found = evaluate(results_of(pairs, [scored for _, scored, _ in FRAMES]), CLASSES)
    following = (10 / 30 + 3 / 20 + 0) / 3
    patrol = (4 / 8 + 1 / 3) / 2
    kinds = [kind for _, _, kind in FRAMES]
    weight = kinds.count("hit") / sum(kind is not None for kind in kinds)
    assert found["target_IoU/following"] == pytest.approx(following, abs=1e-12)
    assert found["target_IoU/patrol_with_target"] == pytest.approx(patrol, abs=1e-12)
    assert found["target_weight"] == pytest.approx(weight, abs=1e-12) == 0.4
    assert found["final_score"] == pytest.approx((following + patrol) / 2 * weight, abs=1e-12)
    assert found["score"] == found["final_score"]


def test_images_of_the_scored_sets_do_not_count_in_iou_where_there_are_others():
    scored = [frame(*pixels) for pixels, _, _ in FRAMES]
    sets = [name for _, name, _ in FRAMES]
    plain = masks(3)
    together = evaluate(results_of(plain + scored, [""] * len(plain) + sets), CLASSES)
    alone = evaluate(results_of(plain), CLASSES)
    assert {name: together[name] for name in ("mIoU", "pixel_accuracy", "IoU/target")} == {
        name: alone[name] for name in ("mIoU", "pixel_accuracy", "IoU/target")
    }
    assert together["final_score"] == evaluate(results_of(scored, sets), CLASSES)["final_score"]


def test_without_one_of_the_sets_or_a_target_there_is_no_final_score():
    pairs = [frame(20, 20, 10), frame(4, 8, 4)]
    two = evaluate(results_of(pairs, ["following", "patrol_with_target"]), CLASSES)
    assert "final_score" not in two
    renamed = evaluate(results_of(pairs * 2, [*final_score.SETS, "following"]), ("street", "car", "person"))
    assert renamed["score"] == renamed["mIoU"]


@pytest.mark.parametrize("scored", [False, True])
def test_a_resample_equals_evaluating_its_images(scored):
    pairs = masks(7)
    sets = [(*final_score.SETS, "")[i % 4] if scored else "" for i in range(len(pairs))]
    results = results_of(pairs, sets)
    counts = np.random.default_rng(1).multinomial(len(results), np.ones(len(results)) / len(results), 20)
    names = ["score", "mIoU", "IoU/target", "unknown"]
    found = SEGMENTATION.resampled(results, CLASSES, [counts], names)
    assert set(found) == {"score", "mIoU", "IoU/target"}
    for b, row in enumerate(counts):
        drawn = [result for result, times in zip(results, row, strict=True) for _ in range(times)]
        again = measured(drawn, CLASSES, np.ones((1, len(drawn)), int))
        assert found["mIoU"][0][b] == pytest.approx(again["mIoU"][0], abs=1e-12)
        if not scored:
            assert found["score"][0][b] == pytest.approx(again["score"][0], abs=1e-12)


def test_results_survive_their_file(tmp_path):
    results = results_of(masks(2), [*final_score.SETS, *[""] * 9])
    kept = [ImageResult(r.confusion, bytes([i]) * i, r.scored) for i, r in enumerate(results)]
    SEGMENTATION.write_results(tmp_path, 60, kept)
    again = SEGMENTATION.read_results(tmp_path, 60)
    assert SEGMENTATION.has_results(tmp_path, 60)
    assert [(r.predicted, r.scored, r.confusion.tolist()) for r in again] == [
        (r.predicted, r.scored, r.confusion.tolist()) for r in kept
    ]
    assert SEGMENTATION.read_results(tmp_path, 61) == []
