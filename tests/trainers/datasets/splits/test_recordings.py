"""Frames of recordings stay together when a source is split, where names and looks show them or a pattern does."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.datasets import check, load
from trainers.datasets.records.reading import read_images
from trainers.errors import UserError


def scene(recording: int, frame: int) -> np.ndarray:
    """A picture that changes slowly with the frame: a few blurred squares that move."""
    draw = np.random.default_rng(recording)
    pixels = np.full((48, 64, 3), 90, np.uint8)
    for row, column, *colour in draw.integers(0, 200, (9, 5)):
        top, left = row % 36, (column + frame) % 52
        pixels[top : top + 12, left : left + 12] = colour[:3]
    return pixels


def folder(root: Path, names: dict[str, np.ndarray]) -> Path:
    """YOLO labels for pictures by name."""
    for name, pixels in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name, quality=95)
        (root / name).with_suffix(".txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (root / "classes.txt").write_text("car\n")
    return root


def parts(source: Path, cache: Path, **reading) -> tuple[dict[str, set[str]], str]:
    """The image names of each part, and the notes."""
    opened = load(source, cache, **reading)
    found = {name: {record.name for record in read_images(part.files)} for name, part in opened.parts.items()}
    return found, "; ".join(opened.notes)


NAMES = {
    "video{r}_frame{f:04}.jpg": "video0_frame*",
    "Town{r:02}_{f:06}.jpg": "Town00_*",
    "cam{r}/frame_{f:06}.jpg": "cam0/frame_*",
    "drive {r}/{f}.jpg": "drive 0/*",
    "clip{r}-{f}-left.jpg": "clip0-*-left",
}


@pytest.mark.parametrize("name", NAMES)
def test_no_recording_is_on_both_sides(tmp_path, name):
    frames = {name.format(r=r, f=f): scene(r, f) for r in range(4) for f in range(8)}
    found, notes = parts(folder(tmp_path / "video", frames), tmp_path / "cache")
    assert f"frames of 4 recordings by name and look, such as {NAMES[name]}: each kept in one part" in notes
    recordings = {
        re.sub(r"[/_-]?(frame)?_?\d+(-left)?\.jpg$", "", image): image for image in found["validation"]
    }
    assert len(recordings) == 1
    assert len(found["validation"]) == 8


def test_a_single_recording_is_cut_into_stretches_of_time(tmp_path):
    frames = {f"frame_{f:06}.png": scene(0, f // 2) for f in range(60)}
    found, notes = parts(folder(tmp_path / "video", frames), tmp_path / "cache")
    assert "1 recording by name and look, such as frame_*: cut into stretches of time" in notes
    held = sorted(int(name[6:12]) for name in found["validation"])
    assert 6 <= len(held) <= 18
    neighbours_apart = sum(other - number > 1 for number, other in pairwise(held))
    assert neighbours_apart <= 2


def test_numbered_photographs_of_different_things_are_split_one_by_one(tmp_path):
    photographs = {f"raccoon-{n}.jpg": scene(100 + n, 0) for n in range(40)}
    _, notes = parts(folder(tmp_path / "photographs", photographs), tmp_path / "cache")
    assert notes == "split by image, balanced by class: 32 training images, 8 validation images"


def test_copies_of_one_photograph_by_roboflow_stay_together(tmp_path):
    copies = {
        f"img_{n}_jpg.rf.{n:02}{copy}a.jpg": np.clip(
            scene(n // 10, n % 10).astype(int) + copy, 0, 255
        ).astype(np.uint8)
        for n in range(20)
        for copy in range(3)
    }
    found, _ = parts(folder(tmp_path / "export", copies), tmp_path / "cache")
    originals = [{name.split("_jpg")[0] for name in names} for names in found.values()]
    assert len(originals[0] & originals[1]) <= 2


def test_a_pattern_groups_images_whatever_they_show(tmp_path):
    images = {f"{n}_{'abcde'[n % 5]}.jpg": scene(200 + n, 0) for n in range(30)}
    source = folder(tmp_path / "patients", images)
    found, notes = parts(source, tmp_path / "cache", group_by=r"_(.)\.")
    assert r"grouped by _(.)\.: 30 images in 5 groups" in notes
    assert len({name.split("_")[1] for name in found["validation"]}) == 1
    assert len(found["validation"]) == 6
    assert parts(source, tmp_path / "cache")[0] != found
    (tmp_path / "list.yaml").write_text(f"train: {source}\nnames: [car]\ngroup_by: '_(.)\\.'\n")
    assert "in 5 groups" in parts(tmp_path / "list.yaml", tmp_path / "cache")[1]


def test_a_pattern_for_images_whose_parts_are_stated_has_no_effect_and_a_note_says_so(tmp_path):
    for part, numbers in (("train", range(4)), ("val", range(4, 6))):
        folder(tmp_path / "photos" / part, {f"{n}_a.jpg": scene(n, 0) for n in numbers})
    found, notes = parts(tmp_path / "photos", tmp_path / "cache", group_by="_(.)")
    assert len(found["train"]) == 4
    assert "--group-by has no effect" in notes


def test_a_pattern_that_is_none_is_refused(tmp_path):
    with pytest.raises(UserError, match="--group-by '\\(': not a regular expression"):
        load(tmp_path, tmp_path / "cache", group_by="(")


def test_check_warns_of_images_that_look_the_same_on_both_sides(tmp_path):
    frames = {
        f"{part}/{f}.jpg": scene(0, 2 * f + (part == "val")) for part in ("train", "val") for f in range(10)
    }
    report = check(folder(tmp_path / "video", frames))
    assert report.error is None
    (warning,) = (note for note in report.notes if "look like" in note)
    assert re.match(
        r"\d+ of 10 validation images look like a training image, such as val/\d\.jpg and train/\d\.jpg",
        warning,
    )
    apart = {
        f"{part}/{f}.jpg": scene(f + 50 * (part == "val"), 0) for part in ("train", "val") for f in range(10)
    }
    assert not [note for note in check(folder(tmp_path / "apart", apart)).notes if "look like" in note]
