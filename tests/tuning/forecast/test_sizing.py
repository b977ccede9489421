"""The image size and the steps of a search are chosen from the user's data and budget."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import search_spaces
from trainers.errors import UserError
from trainers.recipe import InitialWeights
from tuning.api.forecast.sizing import EPOCHS, Sized, sized
from tuning.api.forecast.speed import FirstSteps
from tuning.api.settings import Settings

GIB = 2.0**30
LARGE = np.linspace(0.3, 0.9, 50)  # of the objects' sides, as a share of the image's
SMALL = np.append(np.linspace(0.02, 0.09, 50), 0.9)
TINY = np.append(np.linspace(0.005, 0.03, 50), 0.9)


def chosen(
    tmp_path: Path,
    sides: np.ndarray,
    *,
    weights: str = "zoo",
    images: int = 160,
    memory: float = 24 * GIB,
    first_steps: Mapping[str, FirstSteps] | None = None,
    **flags: object,
) -> Sized:
    settings = Settings(
        **{
            "space": "mobilenet",
            "workers": 2,
            "cpus_per_trial": 1,
            "gpus_per_trial": 0,
            "studies_dir": tmp_path,
        }
        | flags
    )  # type: ignore[arg-type]
    conditions = settings.conditions(InitialWeights(source=weights))
    return sized(
        settings, search_spaces.get(settings.space), conditions, sides, images, memory, first_steps or {}
    )


def test_large_objects_need_half_the_published_size_with_trained_weights_and_the_presets_without(tmp_path):
    assert chosen(tmp_path, LARGE, time=1800).image_size == 320
    assert chosen(tmp_path, LARGE, time=1800, weights="none").image_size == 160


def test_small_objects_get_as_large_an_image_as_the_time_affords(tmp_path):
    sizes = [chosen(tmp_path, SMALL, time=minutes * 60).image_size for minutes in (10, 60, 240)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] <= 640


def test_an_image_is_no_larger_than_the_objects_need(tmp_path):
    plenty = 100 * 3600.0
    size = chosen(tmp_path, SMALL, time=plenty, memory=100 * GIB).image_size
    smallest = search_spaces.get("mobilenet").branches[0].about.smallest_object
    assert np.mean(SMALL * size < smallest) <= 0.25 < np.mean(SMALL * (size - 32) < smallest)
    assert chosen(tmp_path, TINY, time=plenty, memory=100 * GIB).image_size == 640


def test_what_is_lost_for_want_of_time_is_said(tmp_path):
    (why, _) = chosen(tmp_path, TINY, time=600).reasons
    assert "too small to be learned" in why
    assert "at 640 px, for which time or memory do not suffice" in why


def test_where_memory_is_short_a_step_has_fewer_images_and_then_smaller_ones(tmp_path):
    plenty, less, least = (chosen(tmp_path, TINY, time=1e6, memory=size * GIB) for size in (100, 8, 2))
    assert (plenty.image_size, plenty.batch_size) == (640, None)
    assert (less.image_size, less.batch_size) == (640, 2)
    assert less.reasons[-1] == (
        "batch 2 (--batch-size): 8 images of 640 px need 13.1 GB, and each of 2 workers has 4.3 GB"
    )
    assert less.steps == 4 * EPOCHS * 160 // 8  # each image as often
    assert least.image_size < 640
    assert least.batch_size == 2


def test_a_batch_size_that_the_user_gives_is_kept(tmp_path):
    given = chosen(tmp_path, TINY, time=1e6, memory=8 * GIB, batch_size=8)
    assert given.batch_size == 8
    assert given.image_size < 640


def test_objects_that_are_all_too_small_end_the_search_before_it_begins(tmp_path):
    specks = np.full(20, 0.01)
    with pytest.raises(
        UserError, match=r"^every object is smaller than 23 px at \d+ px, .* give more --time"
    ):
        chosen(tmp_path, specks, time=1800)
    assert chosen(tmp_path, specks, time=1800, image_size=320).image_size == 320  # the user knows better
    assert chosen(tmp_path, np.append(specks, 0.5), time=1800).image_size


def test_steps_follow_the_number_of_images_and_the_time(tmp_path):
    few, many = (chosen(tmp_path, LARGE, time=36_000, images=images).steps for images in (100, 800))
    assert (few, many) == (270, 1500)
    assert chosen(tmp_path, LARGE, time=36_000, images=100_000).steps == 2000
    assert chosen(tmp_path, LARGE, time=1200, images=100_000).steps < 2000


def test_from_scratch_each_image_is_seen_three_times_as_often_if_there_is_time(tmp_path):
    tuned, scratch = (
        chosen(tmp_path, LARGE, time=36_000, weights=weights).steps for weights in ("zoo", "none")
    )
    assert scratch == 3 * tuned
    hurried, rested = (chosen(tmp_path, SMALL, time=time, weights="none") for time in (3600, 36_000))
    assert hurried.steps < rested.steps


def test_what_the_user_gives_is_kept_and_the_rest_is_chosen(tmp_path):
    given = chosen(tmp_path, SMALL, time=1800, image_size=192)
    assert given.image_size == 192
    assert len(given.reasons) == 1
    given = chosen(tmp_path, SMALL, time=1800, max_steps=40)
    assert given.steps == 40
    assert given.image_size > 320  # short trainings leave time for detail
    assert not chosen(tmp_path, SMALL, time=1800, max_steps=40, image_size=160).reasons


@pytest.mark.parametrize("space", ["mobilenet", "retinanet", "efficientdet", "all", "segmenters"])
@pytest.mark.parametrize("weights", ["zoo", "none"])
def test_every_model_of_a_space_takes_the_size(tmp_path, space, weights):
    for sides in (LARGE, SMALL, TINY, np.zeros(0)):
        for time in (60, 3600, None):
            size = chosen(tmp_path, sides, space=space, weights=weights, time=time).image_size
            for branch in search_spaces.get(space).branches:
                branch.about.check_image_size(size)


def test_with_a_gpu_whose_speed_is_unknown_the_objects_alone_decide(tmp_path):
    assert chosen(tmp_path, TINY, time=600, gpus_per_trial=1, workers=1, memory=100 * GIB).image_size == 640


def test_a_model_without_a_published_size_names_the_largest_that_is_chosen(tmp_path):
    plenty = 100 * 3600.0
    assert chosen(tmp_path, TINY, space="follow_me", weights="none", time=plenty).image_size == 256
    assert chosen(tmp_path, LARGE, space="follow_me", weights="none", time=plenty).image_size == 128
