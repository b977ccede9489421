"""Several formats in one folder are named and one can be chosen; labels of unsupported tools are refused by name."""

import json

import pytest
from coco_folders import box, coco
from labelled_folders import picture, voc_folder
from published_folders import yolo

from trainers.datasets import check, load
from trainers.datasets.__main__ import main
from trainers.datasets.label_map import write_label_map
from trainers.errors import UserError


def both(folder, only_yolo=0):
    """VOC for twenty images, YOLO for the same and for some more."""
    voc_folder(folder, 20)
    for number in range(20 + only_yolo):
        yolo(folder, f"images/{number}.jpg", f"labels/{number}.txt", "0 0.5 0.5 0.5 0.5")
        (folder / "images" / f"{number}.jpg").write_bytes(picture(number))
    (folder / "classes.txt").write_text("cat\n")
    return folder


def test_what_is_read_and_what_is_not_is_said(tmp_path):
    report = check(both(tmp_path / "pets"))
    assert report.error is None
    assert report.notes[0] == (
        "read as Pascal VOC XML, the first of the formats found; YOLO text files is not read; "
        "--format yolo reads YOLO text files"
    )
    assert load(tmp_path / "pets", tmp_path / "cache", format="yolo").classes == ("cat",)
    assert load(tmp_path / "pets", tmp_path / "cache").classes == ("cat", "dog")


def test_a_dataset_yaml_states_the_format_too(tmp_path):
    both(tmp_path / "pets")
    for name, classes in (("yolo", ("cat",)), ("pascal_voc", ("cat", "dog"))):
        names = "names: [cat]\n" if name == "yolo" else ""
        (tmp_path / f"{name}.yaml").write_text(f"train: pets\nformat: {name}\n{names}")
        assert load(tmp_path / f"{name}.yaml", tmp_path / "cache").classes == classes
    (tmp_path / "wrong.yaml").write_text("train: pets\nformat: voc\n")
    with pytest.raises(UserError, match=r"wrong\.yaml: format: unknown format 'voc'"):
        load(tmp_path / "wrong.yaml", tmp_path / "cache")


def test_images_with_labels_in_the_other_format_alone_are_problems_up_to_the_limit(tmp_path):
    report = check(both(tmp_path / "pets", 1))
    assert (report.counts, report.error) == ({"labels in another format": 1}, None)
    assert any("1 of 21 images have no labels in Pascal VOC XML" in note for note in report.notes)
    report = check(both(tmp_path / "more", 5))
    assert "5 of 25 images have problems" in report.error
    chosen = check(tmp_path / "more", format="pascal_voc")
    assert (chosen.error, chosen.counts) == (None, {})
    assert any("5 of 25 images have no labels in Pascal VOC XML" in note for note in chosen.notes)


def test_a_format_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(UserError, match="no COCO JSON in it; found: Pascal VOC XML, YOLO text files"):
        check(both(tmp_path / "pets"), format="coco")
    with pytest.raises(UserError, match="unknown format 'voc'; choose from"):
        check(tmp_path / "pets", format="voc")


def test_a_broken_file_is_refused_by_its_format_and_the_other_format_is_named(tmp_path):
    voc_folder(tmp_path / "pets", 4)
    (tmp_path / "pets" / "labels.json").write_text('{"images": [{"id": 1, ')
    with pytest.raises(
        UserError, match=r"labels\.json: broken COCO JSON: .*; --format pascal_voc reads Pascal VOC XML"
    ):
        load(tmp_path / "pets", tmp_path / "cache")


def test_images_that_no_annotation_file_lists_are_counted(tmp_path):
    folder = coco(
        tmp_path / "coco", [{"id": n, "file_name": f"{n}.jpg"} for n in range(4)], [box(n) for n in range(4)]
    )
    for n in range(4, 7):
        (folder / f"{n}.jpg").write_bytes(picture(n))
    assert "3 of 7 images have no labels in COCO JSON and are left out, such as 4.jpg" in check(folder).notes


OTHERS = {
    "a.json": ({"version": "5.0", "shapes": [], "imageData": None}, "a.json looks like LabelMe JSON"),
    "b.json": (
        {"a.jpg123": {"filename": "a.jpg", "regions": []}},
        "b.json looks like VGG Image Annotator JSON",
    ),
    "c.json": ([{"image": "a.jpg", "annotations": [{"coordinates": {"x": 1}}]}], "looks like CreateML JSON"),
    "d.csv": ("filename,class,xmin,ymin,xmax,ymax\n", "d.csv looks like CSV"),
    "e.zip": ("PK", "an archive, e.zip; unpack it"),
    "f.txt": (
        "Car 0.00 0 -1.57 614.24 181.78 727.31 284.77 1.57 1.73 4.15 1.00 1.62 8.48 -1.56\n",
        "f.txt looks like KITTI text",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_labels_of_other_tools_are_refused_by_name(tmp_path, name):
    content, said = OTHERS[name]
    (tmp_path / "some.jpg").write_bytes(picture())
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=said) as refused:
        load(tmp_path, tmp_path / "cache")
    assert "\n" not in str(refused.value)


def test_an_archive_is_refused_as_one(tmp_path):
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"photos\.zip: an archive; unpack it, and name the folder"):
        load(tmp_path / "photos.zip", tmp_path / "cache")


def test_only_a_test_part_is_called_that_and_can_be_named_itself(tmp_path):
    voc_folder(tmp_path / "pets" / "test", 10)
    with pytest.raises(
        UserError, match="only a test part was found, of 10 images; to train on them, name its folder"
    ):
        load(tmp_path / "pets", tmp_path / "cache")
    assert load(tmp_path / "pets" / "test", tmp_path / "cache").train.images == 8


def test_check_groups_what_repeats_and_puts_the_worst_first(tmp_path, capsys):
    source = voc_folder(tmp_path / "pets", 40)
    write_label_map(source / "map.pbtxt", ["cat"])
    for number in range(7):
        (source / "images" / f"{number}.jpg").write_bytes(picture(number, mode="L", kind="BMP"))
    assert main(["check", str(source)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in lines[:3]] == ["unknown label"] * 3
    assert lines[3] == "  ... 20 x unknown label in all; --all lists them"
    assert lines[7] == "  ... 7 x image re-encoded in all; --all lists them"
    assert lines[8].startswith("20 problems; 20 of 40 images")
    assert main(["check", str(source), "--all"]) == 2
    assert capsys.readouterr().out.count(": unknown label: ") == 20


def test_of_a_yolo_folder_within_another_one_the_inner_folder_is_named(tmp_path):
    """As an archive of an export that was unpacked into a folder of its own name."""
    inner = tmp_path / "unpacked" / "export"
    for number in range(3):
        yolo(inner, f"train/images/{number}.jpg", f"train/labels/{number}.txt", "0 0.5 0.5 0.5 0.5")
        (inner / f"train/images/{number}.jpg").write_bytes(picture(number))
    (inner / "broken.yaml").write_text("[\n")
    (inner / "data.yml").write_text("train: train/images\nnames: [cat]\n")
    with pytest.raises(
        UserError, match=r"unpacked: export/data\.yml lists the YOLO classes .* give .*/export instead$"
    ):
        check(tmp_path / "unpacked")
    assert check(inner).error is None
    (inner / "data.yml").unlink()
    with pytest.raises(UserError, match=r"YOLO labels without class names; add a classes\.txt"):
        check(tmp_path / "unpacked")
