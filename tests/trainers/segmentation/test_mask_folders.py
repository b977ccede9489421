"""Folders of images and masks: recognised, split, stored; and refused in one line where they are wrong."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
import yaml
from mask_folders import COLOURS, square_scene, write_folder, write_rgb

from trainers.errors import UserError
from trainers.segmentation.__main__ import main
from trainers.segmentation.data.description import describe
from trainers.segmentation.data.masked_image import read_masked_images
from trainers.segmentation.data.opening import open_dataset


def masks_of(part):
    return {image.name: image.mask for image in read_masked_images(part.files)}


def test_colour_coded_masks_are_read_split_and_stored_as_class_indices(tmp_path):
    dataset = open_dataset(str(write_folder(tmp_path / "square")), tmp_path / "cache")
    assert dataset.classes == ("background", "people", "target")
    assert (dataset.train.images, dataset.validation.images) == (8, 2)
    assert "split by image" in dataset.notes[0]
    stored = masks_of(dataset.train) | masks_of(dataset.validation)
    assert set(stored) == {f"images/{i}.png" for i in range(10)}
    for i in range(10):
        _, mask = square_scene(i)
        assert (stored[f"images/{i}.png"] == mask).all()
    first = next(read_masked_images(dataset.train.files))
    assert (first.pixels() == square_scene(int(first.name[7:-4]))[0]).all()


def test_the_same_folder_is_read_once_and_a_changed_mask_changes_the_fingerprint(tmp_path):
    root, cache, said = write_folder(tmp_path / "square"), tmp_path / "cache", []
    first = open_dataset(str(root), cache, on_progress=said.append)
    assert open_dataset(str(root), cache, on_progress=said.append) == first
    assert len(said) == 1
    write_rgb(root / "masks" / "3.png", COLOURS[square_scene(77)[1]])
    assert open_dataset(str(root), cache).fingerprint != first.fingerprint


def test_index_masks_with_an_ignore_value_and_palette_masks_are_read(tmp_path):
    root = write_folder(tmp_path / "square")
    (root / "masks.yaml").write_text("classes: {background: 0, people: 1, target: 7}\nignore: [99]\n")
    for i in range(10):
        values = np.array([0, 1, 7], np.uint8)[square_scene(i)[1]]
        values[0, :5] = 99
        assert cv2.imwrite(str(root / "masks" / f"{i}.png"), values)
    stored = masks_of(open_dataset(str(root), tmp_path / "cache").train)
    for name, mask in stored.items():
        assert (mask[0, :5] == 255).all()
        assert (mask[1:] == square_scene(int(name[7:-4]))[1][1:]).all()


def test_a_subset_keeps_all_validation_images_and_a_share_of_the_others(tmp_path):
    root = write_folder(write_folder(tmp_path / "square", part="train"), 4, part="validation")
    whole = open_dataset(str(root), tmp_path / "cache")
    half = open_dataset(str(root), tmp_path / "cache", subset=0.5)
    assert (whole.train.images, whole.validation.images) == (10, 4)
    assert (half.train.images, half.validation) == (5, whole.validation)
    assert masks_of(half.train).keys() < masks_of(whole.train).keys()


def follow_me(root):
    """The layout and the names of the Follow Me project."""
    names = {"image": "{}_run1cam1_0000{}.png", "mask": "{}__mask_0000{}.png"}
    sets = ("following", "patrol_with_target", "patrol_without_target")
    for place in ("train", "validation", *(f"evaluation/{name}" for name in sets)):
        for i in range(3):
            image, mask = square_scene(i + len(place))
            write_rgb(root / place / "images" / names["image"].format(1, i), image)
            write_rgb(root / place / "masks" / names["mask"].format(1, i), COLOURS[mask])


def camvid(root):
    """CamVid's tree: train and trainannot, and label_colors.txt."""
    for part, count in (("train", 6), ("val", 3)):
        for i in range(count):
            image, mask = square_scene(i + 10 * count)
            write_rgb(root / part / f"{part}{i}.png", image)
            write_rgb(root / f"{part}annot" / f"{part}{i}.png", COLOURS[mask])
    (root / "label_colors.txt").write_text("255 0 0\tRoad\n0 255 0\tCar\n0 0 255 Void\n")


def cityscapes(root):
    """Cityscapes' tree, with label ids."""
    for part, count in (("train", 6), ("val", 3)):
        for i in range(count):
            image, mask = square_scene(i + 10 * count)
            write_rgb(root / "leftImg8bit" / part / "bonn" / f"bonn_{i}_leftImg8bit.png", image)
            target = root / "gtFine" / part / "bonn" / f"bonn_{i}_gtFine_labelIds.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(target), np.array([7, 26, 0], np.uint8)[mask])
            shutil.copy(target, target.with_name(f"bonn_{i}_gtFine_color.png"))


@pytest.mark.parametrize(
    ("layout", "classes", "train", "validation", "shown"),
    [
        (follow_me, ("background", "people", "target"), 3, 12, {0, 1, 2}),
        (camvid, ("Road", "Car"), 6, 3, {0, 1, 255}),
        (cityscapes, ("road", "sidewalk"), 6, 3, {0, 13, 255}),
    ],
)
def test_known_layouts_are_recognised_with_their_colours(layout, classes, train, validation, shown, tmp_path):
    layout(tmp_path / "data")
    dataset = open_dataset(str(tmp_path / "data"), tmp_path / "cache")
    assert dataset.classes[: len(classes)] == classes
    assert (dataset.train.images, dataset.validation.images) == (train, validation)
    assert {int(v) for mask in masks_of(dataset.validation).values() for v in np.unique(mask)} == shown
    if layout is follow_me:
        sets = [image.scored for image in read_masked_images(dataset.validation.files)]
        assert (
            sets == [""] * 3 + ["following"] * 3 + ["patrol_with_target"] * 3 + ["patrol_without_target"] * 3
        )


def mask_of_another_size(root):
    for i in range(3):
        write_rgb(root / "masks" / f"{i}.png", COLOURS[square_scene(i, 40)[1]])


def a_colour_outside(root):
    pixels = COLOURS[square_scene(2)[1]]
    pixels[5, 7:10] = (9, 8, 7)
    write_rgb(root / "masks" / "2.png", pixels)


def jpeg_masks(root):
    path = root / "masks" / "1.png"
    cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)))
    path.unlink()


def without_a_map(root):
    (root / "masks.yaml").unlink()


def values_without_a_map(root):
    without_a_map(root)
    for i in range(10):
        assert cv2.imwrite(str(root / "masks" / f"{i}.png"), square_scene(i)[1].astype(np.uint8))


def grey_and_coloured_masks_without_a_map(root):
    without_a_map(root)
    assert cv2.imwrite(str(root / "masks" / "1.png"), square_scene(1)[1].astype(np.uint8))


def jpeg_masks_without_a_map(root):
    without_a_map(root)
    jpeg_masks(root)


def blended_colours_without_a_map(root):
    without_a_map(root)
    for i in range(10):
        write_rgb(
            root / "masks" / f"{i}.png",
            np.stack([*np.indices((48, 48)), np.zeros((48, 48))], -1).astype(np.uint8),
        )


def noise_for_masks(root):
    for i in range(3):
        (root / "masks" / f"{i}.png").write_bytes(b"noise")


def images_without_masks(root):
    for i in range(4):
        (root / "masks" / f"{i}.png").unlink()


def all_background(root):
    for i in range(10):
        write_rgb(root / "masks" / f"{i}.png", COLOURS[np.zeros((48, 48), int)])


def labels_of_boxes(root):
    shutil.rmtree(root / "masks")
    (root / "annotations").mkdir()
    (root / "annotations" / "1.xml").write_text("<annotation/>")


def map_with(**changes):
    def wrong(root):
        given = yaml.safe_load((root / "masks.yaml").read_text())
        (root / "masks.yaml").write_text(yaml.safe_dump(given | changes))

    return wrong


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (mask_of_another_size, "3 of 10 images have problems, more than the limit of 5%: 3 x mask of another size, "
         "first masks/0.png: 40x40 px, but images/0.png has 48x48"),
        (a_colour_outside, "masks/2.png: 3 pixels of colour (9, 8, 7), first at x 7, y 5; not in masks.yaml, which has "
         "3 classes"),
        (jpeg_masks, "masks/1.jpg: a JPEG file, which is lossy: its colours are not exact; save masks as PNG"),
        (noise_for_masks, "3 of 10 images have problems, more than the limit of 5%: 3 x unreadable mask, first "
         "masks/0.png: not an image; run `python -m trainers.segmentation check"),
        (images_without_masks, "4 of 10 images have problems, more than the limit of 5%: 4 x image without a mask"),
        (all_background, "every pixel of all masks is background; there is nothing to tell apart, check the colour map"),
        (without_a_map, "nothing says which colour is which class; add a masks.yaml with your names in place of these: "
         "`classes: {background: [255, 0, 0], class_1: [0, 0, 255], class_2: [0, 255, 0]}`, the colours of its first"),
        (values_without_a_map, "names in place of these: `classes: {background: 0, class_1: 1, class_2: 2}`"),
        (grey_and_coloured_masks_without_a_map, "add a masks.yaml with `classes: {background: [255, 0, 0], person: "),
        (jpeg_masks_without_a_map, "masks/1.jpg: a JPEG file, which is lossy"),
        (blended_colours_without_a_map, "its first masks have 2304 colours, so their edges may be blended"),
        (lambda root: shutil.rmtree(root / "masks"), "no images with masks; put them into folders `images` and `masks`"),
        (labels_of_boxes, "no images with masks; put them into folders `images` and `masks`"),
        (lambda root: shutil.rmtree(root), "no such folder"),
        (map_with(classes={"a": [1, 2, 3], "b": [1, 2, 3]}), "masks.yaml: b: has the colour of a; each needs its own"),
        (map_with(classes={"a": [1, 2, 3], "b": 4}), "masks.yaml: b: expected a colour [R, G, B] of 0 to 255"),
        (map_with(classes={"a": 1, "b": 400}), "masks.yaml: b: expected a value of 0 to 255 like the others, got 400"),
        (map_with(classes=[]), "masks.yaml: no `classes`; write a masks.yaml with"),
        (map_with(ignore=[[255, 0, 0]]), "masks.yaml: ignore: 16711680 is also the code of a class"),
        (map_with(classs={}), "masks.yaml: unknown key 'classs'; known are classes, ignore"),
    ],
)  # fmt: skip
def test_a_wrong_folder_is_refused_in_one_line_and_nothing_is_kept(spoil, says, tmp_path):
    root, cache = write_folder(tmp_path / "square"), tmp_path / "cache"
    spoil(root)
    with pytest.raises(UserError) as refused:
        open_dataset(str(root), cache)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not [path for path in cache.glob("*") if path.is_dir()]


def test_a_mask_without_an_image_is_a_note(tmp_path):
    root = write_folder(tmp_path / "square")
    (root / "images" / "4.png").unlink()
    dataset = open_dataset(str(root), tmp_path / "cache")
    assert any("1 x mask without an image, in masks/4.png" in note for note in dataset.notes)


def test_the_toy_city_has_masks_that_agree_with_its_boxes(tmp_path):
    from trainers.datasets.records.reading import read_images
    from trainers.datasets.toy_city.generating import labelled_scene
    from trainers.datasets.toy_city.naming import parse_city

    city = parse_city("toy-city:train_images=3,validation_images=2")
    dataset = open_dataset("toy-city:train_images=3,validation_images=2", tmp_path)
    assert dataset.classes == ("street", "vehicle", "pedestrian", "cyclist")
    assert sum(1 for _ in read_images(dataset.train.files)) == 3
    for image in read_masked_images(dataset.train.files):
        boxes = labelled_scene(city, "train", int(image.name[6:11]))
        assert set(np.unique(image.mask)) - {0} <= set(boxes.labels)
        inside = np.zeros(image.mask.shape, bool)
        for ymin, xmin, ymax, xmax in boxes.pixel_boxes().round().astype(int):
            inside[ymin:ymax, xmin:xmax] = True
        assert not (image.mask[~inside] > 0).any()


def test_check_lists_every_problem_and_describe_the_share_of_each_class(tmp_path, capsys):
    root = write_folder(tmp_path / "square")
    assert main(["describe", str(root), "--cache", str(tmp_path / "cache")]) == 0
    described = capsys.readouterr().out
    pixels = np.bincount(np.concatenate([square_scene(i)[1].ravel() for i in range(10)]), minlength=3)
    whole = open_dataset(str(root), tmp_path / "cache")
    found = describe(whole)
    assert (found["train"].pixels + found["validation"].pixels == pixels).all()
    assert f"{found['train'].share(2):.3%} of the pixels, in {found['train'].shown[2]} images" in described
    assert main(["check", str(root)]) == 0
    a_colour_outside(root)
    mask_of_another_size(root)
    jpeg_masks(root)
    assert main(["check", str(root)]) == 2
    listed = capsys.readouterr().out
    for place in (
        "masks/0.png: mask of another size",
        "masks/1.jpg: unusable mask",
        "masks/2.png: mask of another",
    ):
        assert place in listed


def test_check_refuses_what_training_refuses(tmp_path, capsys):
    root = write_folder(tmp_path / "square")
    all_background(root)
    assert main(["check", str(root)]) == 2
    assert "every pixel of all masks is background" in capsys.readouterr().err
