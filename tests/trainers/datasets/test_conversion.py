"""Datasets converted: to TFRecords and to every other format, whole or not at all."""

import pytest
from coco_folders import box, coco
from labelled_folders import picture, voc, voc_folder

from trainers.datasets import formats
from trainers.datasets.__main__ import main
from trainers.datasets.dataset import read_manifest
from trainers.datasets.label_map import write_label_map
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images
from trainers.datasets.toy_city.generating import open_toy_city
from trainers.datasets.toy_city.scenes import ToyCity


def test_convert_writes_a_dataset_that_is_whole(tmp_path, capsys):
    source = voc_folder(tmp_path / "pets")
    assert main(["convert", str(source), str(tmp_path / "records")]) == 0
    written = read_manifest(tmp_path / "records")
    assert written.fingerprint == open_dataset(str(source), tmp_path / "cache").fingerprint
    assert "32 train, 8 validation images, 2 classes" in capsys.readouterr().out
    assert open_dataset(str(tmp_path / "records"), tmp_path / "cache").fingerprint == written.fingerprint


@pytest.mark.parametrize("to", [known.NAME for known in formats.all_formats() if known.NAME != "waymo"])
def test_convert_writes_every_format(tmp_path, to):
    source = voc_folder(tmp_path / "pets", 20)
    assert main(["convert", str(source), str(tmp_path / "out"), "--to", to]) == 0
    first = open_dataset(str(source), tmp_path / "cache")
    written = open_dataset(str(tmp_path / "out"), tmp_path / "cache")
    assert (written.classes, written.train.images, written.validation.images) == (first.classes, 16, 4)
    if to != "yolo":  # its fractions have six digits
        assert written.fingerprint == first.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out", "pets"]


def test_convert_refuses_a_folder_that_is_there(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert main(["convert", str(voc_folder(tmp_path / "pets", 4)), str(tmp_path / "out")]) == 2
    assert "already exists" in capsys.readouterr().err


def test_convert_leaves_nothing_when_it_fails(tmp_path, capsys):
    source = voc_folder(tmp_path / "pets", 10)
    assert main(["convert", str(source), str(tmp_path / "out"), "--to", "waymo"]) == 2
    assert capsys.readouterr().err.endswith(
        "error: Waymo's exports have no class 'cat', only vehicle, pedestrian, cyclist; choose another format\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]
    voc(source, 3, data=b"")
    assert main(["convert", str(source), str(tmp_path / "out")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_convert_takes_a_subset(tmp_path, capsys):
    source = str(voc_folder(tmp_path / "pets"))
    assert main(["convert", source, str(tmp_path / "out"), "--to", "coco", "--subset", "25%"]) == 0
    assert "8 train, 8 validation images" in capsys.readouterr().out


def test_a_toy_city_is_converted_as_any_other_source(tmp_path, capsys):
    city = "toy-city:train_images=6,validation_images=3,classes=vehicle+cyclist"
    assert main(["convert", city, str(tmp_path / "out"), "--to", "yolo"]) == 0
    assert "6 train, 3 validation images, 2 classes" in capsys.readouterr().out
    assert (tmp_path / "out" / "classes.txt").read_text() == "vehicle\ncyclist\n"
    assert main(["convert", "toy-city:fog=1", str(tmp_path / "fog")]) == 2
    assert not (tmp_path / "fog").exists()


def test_good_tfrecords_are_linked_not_copied_and_others_are_converted(tmp_path):
    city = open_toy_city(ToyCity(train_images=6, validation_images=3), tmp_path / "toy")
    folder = city.train.files[0].parent
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert opened.train.files[0].resolve() == city.train.files[0].resolve()
    assert opened.fingerprint == city.fingerprint
    assert opened.label_map.is_file()
    write_label_map(folder / "label_map.pbtxt", ["vehicle", "pedestrian", "cyclist", "tram"])
    remapped = folder / "label_map.pbtxt"
    remapped.write_text(remapped.read_text().replace("id: 4", "id: 9"))
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert not opened.train.files[0].is_symlink()
    assert any("tram 9 -> 4" in note for note in opened.notes)


@pytest.mark.parametrize("to", sorted(known.NAME for known in formats.all_formats() if known.NAME != "waymo"))
def test_images_whose_names_differ_in_the_suffix_alone_keep_their_own_labels(tmp_path, to):
    images = [{"id": n, "file_name": f"a{n // 2}.{'png' if n % 2 else 'jpg'}"} for n in range(8)]
    folder = coco(tmp_path / "pets", images, [box(n, 1 + n % 2) for n in range(8)])
    for n in range(1, 8, 2):
        (folder / f"a{n // 2}.png").write_bytes(picture(n, kind="PNG"))
    assert main(["convert", str(folder), str(tmp_path / to), "--to", to]) == 0
    opened = open_dataset(str(tmp_path / to), tmp_path / "cache")
    found = {
        (record.format, opened.classes[label - 1])
        for part in opened.parts.values()
        for record in read_images(part.files)
        for label in record.labels
    }
    assert found == {("jpeg", "cat"), ("png", "dog")}
    assert sum(part.images for part in opened.parts.values()) == 8
