"""Sources opened as datasets: every box kept, converted once, label ids 1..N."""

import shutil
from collections import Counter

import pytest
from labelled_folders import features, picture, voc, voc_folder

from trainers.datasets.__main__ import main
from trainers.datasets.files.walking import file_states
from trainers.datasets.label_map import read_label_map, write_label_map
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import encoded_examples
from trainers.datasets.toy_city.generating import open_toy_city
from trainers.datasets.toy_city.scenes import ToyCity


def contents(dataset) -> list[tuple]:
    """Every box of a dataset, with the image it is on, in a fixed order."""
    return sorted(
        (
            part,
            one["image/key/sha256"][0],
            *zip(
                one["image/object/class/text"],
                *(one[f"image/object/bbox/{edge}"] for edge in ("ymin", "xmin", "ymax", "xmax")),
                strict=True,
            ),
        )
        for part, its in dataset.parts.items()
        for one in features(*its.files)
    )


def test_a_voc_folder_becomes_records_with_every_box(tmp_path):
    opened = open_dataset(str(voc_folder(tmp_path / "pets")), tmp_path / "cache")
    assert opened.name == "pets"
    assert opened.classes == ("cat", "dog")
    assert opened.train.images + opened.validation.images == 40
    records = features(*opened.train.files, *opened.validation.files)
    assert len({one["image/source_id"][0] for one in records}) == 40
    for one in records:
        number = int(one["image/filename"][0].decode().split("/")[1].split(".")[0])
        assert one["image/encoded"][0] == picture(number)
        assert one["image/object/class/text"] == [b"cat" if number % 2 else b"dog"]
        assert one["image/object/class/label"] == [1 if number % 2 else 2]
        edges = [one[f"image/object/bbox/{edge}"][0] for edge in ("ymin", "xmin", "ymax", "xmax")]
        assert edges == pytest.approx([4 / 48, 8 / 64, 40 / 48, 60 / 64])


def test_the_split_is_the_same_each_time_and_has_its_share_of_each_class(tmp_path):
    source = voc_folder(tmp_path / "pets")
    first = open_dataset(str(source), tmp_path / "cache")
    moved = shutil.copytree(source, tmp_path / "elsewhere")
    second = open_dataset(str(moved), tmp_path / "another")
    assert contents(first) == contents(second)
    assert first.fingerprint == second.fingerprint
    validation = Counter(
        text for one in features(*first.validation.files) for text in one["image/object/class/text"]
    )
    assert validation == {b"cat": 4, b"dog": 4}
    assert any("32 training images, 8 validation images" in note for note in first.notes)


def test_image_sets_and_folders_give_the_parts(tmp_path):
    source = voc_folder(tmp_path / "pets", 10)
    sets = source / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("\n".join("0123456"))
    (sets / "val.txt").write_text("7\n8\n")
    (sets / "test.txt").write_text("9\n")
    opened = open_dataset(str(source), tmp_path / "cache")
    assert [(name, part.images) for name, part in opened.parts.items()] == [
        ("train", 7),
        ("validation", 2),
        ("test", 1),
    ]
    by_folder = tmp_path / "by_folder"
    voc_folder(by_folder / "train", 6)
    voc_folder(by_folder / "valid", 3)
    opened = open_dataset(str(by_folder), tmp_path / "cache")
    assert [(name, part.images) for name, part in opened.parts.items()] == [("train", 6), ("validation", 3)]


def test_a_second_opening_converts_nothing_and_a_change_converts_anew(tmp_path):
    said: list[str] = []
    source = voc_folder(tmp_path / "pets")
    first = open_dataset(str(source), tmp_path / "cache", on_progress=said.append)
    said.clear()
    assert open_dataset(str(source), tmp_path / "cache", on_progress=said.append) == first
    assert said == []
    voc(source, 1, ("cat", 5, 8, 40, 60))
    changed = open_dataset(str(source), tmp_path / "cache", on_progress=said.append)
    assert said
    assert changed.fingerprint != first.fingerprint


def test_a_change_of_what_a_link_leads_to_converts_anew(tmp_path):
    source = voc_folder(tmp_path / "pets", 10)
    (source / "hidden").mkdir()
    xml = (source / "annotations" / "1.xml").rename(source / "hidden" / ".1.xml")
    (source / "annotations" / "1.xml").symlink_to(xml)
    first = open_dataset(str(source), tmp_path / "cache")
    xml.write_text(xml.read_text().replace("<xmin>8<", "<xmin>9<"))
    assert open_dataset(str(source), tmp_path / "cache").fingerprint != first.fingerprint
    file, link = tmp_path / "labels.json", tmp_path / "link.json"
    file.write_text("{}")
    link.symlink_to(file)
    before = list(file_states(link))
    file.write_text("{} ")
    assert list(file_states(link)) != before


def test_label_ids_become_1_to_n_in_the_order_of_the_label_map_and_that_is_said(tmp_path):
    source = voc_folder(tmp_path / "pets")
    (source / "map.pbtxt").write_text(
        "item { id: 1 name: 'horse' } item { id: 4 name: 'dog' } item { name: 'cat' id: 9 }"
    )
    opened = open_dataset(str(source), tmp_path / "cache")
    assert opened.classes == ("horse", "dog", "cat")
    assert "label ids remapped by name to 1..3: horse 1 -> 1, dog 4 -> 2, cat 9 -> 3" in opened.notes
    assert read_label_map(opened.label_map) == {1: "horse", 2: "dog", 3: "cat"}
    assert {
        (text, label)
        for one in features(*opened.train.files)
        for text, label in zip(one["image/object/class/text"], one["image/object/class/label"], strict=True)
    } == {(b"dog", 2), (b"cat", 3)}


def test_tfrecords_come_back_equal_and_their_ids_are_remapped_by_name(tmp_path):
    city = open_toy_city(ToyCity(train_images=8, validation_images=3), tmp_path / "cache")
    folder = city.train.files[0].parent
    assert contents(open_dataset(str(folder), tmp_path / "again")) == contents(city)
    assert open_dataset(str(folder), tmp_path / "again").fingerprint == city.fingerprint


@pytest.mark.slow
def test_tfrecords_without_parts_are_split(tmp_path):
    city = open_toy_city(ToyCity(train_images=20, validation_images=1), tmp_path / "cache")
    source = tmp_path / "records"
    source.mkdir()
    shutil.copy(city.train.files[0], source / "all.record")
    write_label_map(source / "labels.pbtxt", city.classes)
    opened = open_dataset(str(source), tmp_path / "cache")
    assert (opened.train.images, opened.validation.images) == (16, 4)


@pytest.mark.slow
def test_the_real_photographs_lose_nothing(raccoon, tmp_path):
    opened = open_dataset(str(raccoon), tmp_path)
    assert (opened.train.images, opened.validation.images, opened.classes) == (160, 40, ("raccoon",))
    assert not [note for note in opened.notes if "unreadable" in note or "box" in note]
    records = features(*opened.train.files, *opened.validation.files)
    boxes = sum(path.read_text().count("<object>") for path in (raccoon / "annotations").iterdir())
    assert sum(len(one["image/object/class/label"]) for one in records) == boxes


@pytest.mark.slow
def test_the_real_photographs_converted_are_the_records_of_the_folder(raccoon, tmp_path):
    assert main(["convert", str(raccoon), str(tmp_path / "records")]) == 0
    assert main(["check", str(tmp_path / "records")]) == 0
    folder, records = (
        open_dataset(str(source), tmp_path / "cache") for source in (raccoon, tmp_path / "records")
    )
    assert records.fingerprint == folder.fingerprint
    for part in ("train", "validation"):
        # the same bytes in the same order: whatever is trained or measured on one is on the other
        assert list(encoded_examples(records.parts[part].files)) == list(
            encoded_examples(folder.parts[part].files)
        )


def test_a_folder_with_the_longest_name_a_file_system_allows_is_opened(tmp_path):
    source = voc_folder(tmp_path / ("写" * 85))
    opened = open_dataset(str(source), tmp_path / "cache", subset=0.5)
    assert opened.train.files[0].parent.name.startswith("写" * 60 + "-")
    assert opened.plain_name == "写" * 60  # studies are named after it
