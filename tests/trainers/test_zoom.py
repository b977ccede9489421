"""How much augmentations may magnify an image, which decides how much of its detail is kept."""

import pytest
from test_augmentations import REQUIRED

from search_spaces.parts.augmentation import AUGMENTATIONS as OFFERED
from trainers.augmentations import Augmentation
from trainers.augmentations.table import AUGMENTATIONS
from trainers.augmentations.zoom import largest_zoom

OPERATION = {
    "min_object_covered": 0.1, "min_aspect_ratio": 0.5, "max_aspect_ratio": 2.0, "max_area": 1.0, "overlap_thresh": 0.2,
}  # fmt: skip


def zoom(*given: tuple[str, dict[str, object]]) -> float | None:
    return largest_zoom([Augmentation(name=name, options=options) for name, options in given], 320)


def test_without_augmentations_the_image_is_shown_whole():
    assert zoom() == 1


def test_a_crop_magnifies_by_what_it_leaves_out_and_crops_of_crops_by_more():
    crop = ("random_crop_image", {"min_area": 0.25})
    assert zoom(crop) == 2
    assert zoom(crop, ("random_horizontal_flip", {}), crop) == 4
    areas = [OPERATION | {"min_area": area} for area in (0.5, 0.0625)]
    assert zoom(("ssd_random_crop", {"operations": areas})) == 4


def test_an_image_that_is_enlarged_whole_shows_no_more_detail_in_the_end():
    assert zoom(("random_image_scale", {"min_scale_ratio": 0.5, "max_scale_ratio": 2.2})) == 1


def test_scale_jitter_magnifies_and_so_does_an_output_larger_than_the_networks_input():
    options = {"output_size": 320, "scale_min": 0.1, "scale_max": 1.5}
    assert zoom(("random_scale_crop_and_pad_to_square", options)) == 1.5
    assert zoom(("random_scale_crop_and_pad_to_square", options | {"output_size": 640})) == 3
    assert zoom(("random_scale_crop_and_pad_to_square", options | {"scale_max": 0.5})) == 1


@pytest.mark.parametrize(
    "name",
    [
        "random_jpeg_quality",
        "random_patch_gaussian",
        "resize_image",
        "random_absolute_pad_image",
        "ssd_random_crop",
    ],
)
def test_what_depends_on_pixels_or_on_the_apis_own_values_needs_the_image_in_full(name: str):
    assert zoom((name, dict(REQUIRED.get(name, {})))) is None
    canvas = {"max_image_height": 900, "max_image_width": 900}
    assert zoom(("random_pad_image", {})) == 1
    assert zoom(("random_pad_image", canvas)) is None


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_no_augmentation_shrinks_what_an_image_needs(name: str):
    found = zoom((name, dict(REQUIRED.get(name, {}))))
    assert found is None or found >= 1


@pytest.mark.parametrize("choice", OFFERED.values(), ids=OFFERED.keys())
def test_whatever_a_space_offers_leaves_large_images_shrunk(choice):
    lowest = {option: values.low for option, values in choice.strength.items()}
    side = {choice.side: 320} if choice.side else {}
    assert zoom((choice.api, {**choice.fixed, **lowest, **side})) is not None
