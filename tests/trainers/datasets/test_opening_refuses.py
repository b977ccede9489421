"""What a user can get wrong about a source: one line, and nothing half-written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from labelled_folders import features, picture, voc, voc_folder

from trainers.datasets.label_map import write_label_map
from trainers.datasets.opening import open_dataset
from trainers.datasets.toy_city.generating import open_toy_city
from trainers.datasets.toy_city.scenes import ToyCity
from trainers.errors import UserError


def nothing_left(cache) -> bool:
    return not cache.exists()


def refused(source, cache) -> str:
    with pytest.raises(UserError) as error:
        open_dataset(str(source), cache)
    assert "\n" not in str(error.value)
    assert nothing_left(cache)
    return str(error.value)


def test_a_missing_folder_is_refused(tmp_path):
    assert "no such file or folder" in refused(tmp_path / "nowhere", tmp_path / "cache")


def test_a_folder_without_labelled_images_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "the folder is empty; supported are" in refused(tmp_path / "empty", tmp_path / "cache")
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    assert "no labelled images" in refused(tmp_path / "empty", tmp_path / "cache")


def test_a_label_absent_from_the_map_is_refused_with_its_line(tmp_path):
    source = voc_folder(tmp_path / "pets")
    write_label_map(source / "map.pbtxt", ["cat", "dog"])
    voc(source, 7, ("cat", 4, 8, 40, 60), ("dogg", 1, 1, 9, 9))
    message = refused(source, tmp_path / "cache")
    assert "annotations/7.xml:9: label 'dogg' is not in map.pbtxt; did you mean 'dog'?" in message


def test_a_label_id_absent_from_the_map_is_refused_with_its_record(tmp_path):
    city = open_toy_city(ToyCity(train_images=3, validation_images=1), tmp_path / "toy")
    write_label_map(city.label_map, ["vehicle"])
    assert "record 1: label" in refused(city.label_map.parent, tmp_path / "cache")


def test_a_label_map_of_other_records_is_refused(tmp_path):
    city = open_toy_city(ToyCity(train_images=3, validation_images=1), tmp_path / "toy")
    write_label_map(city.label_map, ["pedestrian", "cyclist", "vehicle"])
    assert "use the label map that belongs to the records" in refused(
        city.label_map.parent, tmp_path / "cache"
    )


WRONG = {
    "corrupt JPEG": (("cat", 4, 8, 40, 60), {"data": picture(3)[:400]}, "unreadable image", 0),
    "no JPEG": (("cat", 4, 8, 40, 60), {"data": b"<html>not found</html>"}, "unreadable image", 0),
    "labels of another size": (("cat", 4, 8, 40, 60), {"size": (640, 480)}, "image size mismatch", 0),
    "box outside": (("cat", 4, 80, 40, 90), {}, "box outside the image", 1),
    "box beyond the edge": (("cat", -9, 8, 40, 70), {}, "box exceeds the image", 2),
    "box of zero area": (("cat", 4, 8, 4, 60), {}, "box without area", 1),
    "box the wrong way round": (("cat", 40, 60, 4, 8), {}, "box without area", 1),
    "box of NaN": (("cat", "nan", 8, 40, 60), {}, "invalid box coordinates", 1),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_wrong_image_in_forty_is_counted_and_named_and_the_rest_is_used(tmp_path, case):
    box, how, kind, boxes_left = WRONG[case]
    source = voc_folder(tmp_path / "pets")
    voc(source, 13, ("cat", 1, 1, 9, 9), box, **how)
    opened = open_dataset(str(source), tmp_path / "cache")
    (note,) = (note for note in opened.notes if kind in note)
    assert note.startswith("1 x ")
    assert "13." in note
    images = {
        one["image/filename"][0]: one for one in features(*opened.train.files, *opened.validation.files)
    }
    assert len(images) == opened.train.images + opened.validation.images == (40 if boxes_left else 39)
    if boxes_left:
        one = images[b"images/13.jpg"]
        assert len(one["image/object/class/label"]) == boxes_left
        assert all(0 <= edge <= 1 for name, edges in one.items() if "/bbox/" in name for edge in edges)


@pytest.mark.parametrize("case", WRONG)
def test_three_wrong_images_in_forty_are_too_many(tmp_path, case):
    box, how, kind, _ = WRONG[case]
    source = voc_folder(tmp_path / "pets")
    for number in (3, 13, 33):
        voc(source, number, ("cat", 1, 1, 9, 9), box, **how)
    message = refused(source, tmp_path / "cache")
    assert "3 of 40 images have problems, more than the limit of 5%" in message
    assert f"3 x {kind}, first " in message


def test_a_missing_image_is_named(tmp_path):
    source = voc_folder(tmp_path / "pets")
    (source / "images" / "5.jpg").unlink()
    opened = open_dataset(str(source), tmp_path / "cache")
    assert "1 x missing image, in annotations/5.xml: images/5.jpg does not exist" in opened.notes


def test_xml_that_declares_entities_is_not_expanded(tmp_path):
    source = voc_folder(tmp_path / "pets")
    xml = source / "annotations" / "5.xml"
    xml.write_text('<!DOCTYPE a [<!ENTITY a "&#38;a;&#38;a;">]>' + xml.read_text().replace("cat", "&a;"))
    opened = open_dataset(str(source), tmp_path / "cache")
    assert any("annotations/5.xml: XML entities are not supported" in note for note in opened.notes)


@pytest.mark.parametrize("name", ["../../secret.jpg", "/etc/passwd", "C:\\secret.jpg"])
def test_a_file_name_that_leads_out_of_the_folder_is_not_followed(tmp_path, name):
    source = voc_folder(tmp_path / "pets")
    (tmp_path / "secret.jpg").write_bytes(picture(5))
    (source / "images" / "5.jpg").unlink()
    voc(source, 5, ("cat", 4, 8, 40, 60), name=name)
    (source / "images" / "5.jpg").unlink()
    opened = open_dataset(str(source), tmp_path / "cache")
    assert opened.train.images + opened.validation.images == 39
    assert any("annotations/5.xml" in note for note in opened.notes)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    source = voc_folder(tmp_path / "pets")
    (tmp_path / "secret.jpg").write_bytes(picture(5))
    (source / "images" / "5.jpg").unlink()
    (source / "images" / "5.jpg").symlink_to(tmp_path / "secret.jpg")
    opened = open_dataset(str(source), tmp_path / "cache")
    assert any("a link to outside" in note for note in opened.notes)


@pytest.mark.slow
def test_a_corrupt_record_is_counted_and_skipped(tmp_path):
    city = open_toy_city(ToyCity(train_images=40, validation_images=5), tmp_path / "toy")
    file = city.train.files[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    opened = open_dataset(str(file.parent), tmp_path / "cache")
    assert (opened.train.images, opened.validation.images) == (39, 5)
    (note,) = (note for note in opened.notes if "corrupt record" in note)
    assert "train.tfrecord-00000-of-00001, record 2" in note


@pytest.mark.slow
def test_a_file_of_records_cut_in_half_is_refused(tmp_path):
    city = open_toy_city(ToyCity(train_images=40, validation_images=5), tmp_path / "toy")
    file = city.train.files[0]
    os.truncate(file, file.stat().st_size // 2)
    assert "truncated" in refused(file.parent, tmp_path / "cache")


@pytest.mark.skipif(
    not Path("/sys").is_dir(), reason="needs a folder in which not even root may write: Linux's /sys"
)
def test_a_cache_without_write_access_is_refused(tmp_path):
    assert "cannot be written" in refused(voc_folder(tmp_path / "pets", 4), Path("/sys/cache-of-a-test"))


def test_a_cache_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        open_dataset(str(voc_folder(tmp_path / "pets")), tmp_path / "cache")


def test_one_image_cannot_be_split(tmp_path):
    assert "at least 2 are needed" in refused(voc_folder(tmp_path / "pets", 1), tmp_path / "cache")


def test_images_without_one_box_are_refused(tmp_path):
    for number in range(4):
        voc(tmp_path / "pets", number)
    assert "without a single box" in refused(tmp_path / "pets", tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "per_shard"),
    [(8_000, 500), (50_000, 500), (32_000, 4)],
    ids=["the catalogue", "the records", "the records, in several processes"],
)
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(tmp_path, limit, per_shard):
    # a limit on the size of files stands in for a full disk: it is the kernel that refuses to write on
    for number in range(12):
        voc(tmp_path / "pets", number, ("cat", 4, 8, 40, 60), data=picture(number, 640, 480), size=(640, 480))
    source, cache = tmp_path / "pets", tmp_path / "cache"
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from trainers.datasets.records import parallel_conversion\n"
        "parallel_conversion.IMAGES_PER_SHARD = int(sys.argv[3])\n"
        "from trainers.datasets.opening import open_dataset; from trainers.errors import UserError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "try: open_dataset(sys.argv[1], Path(sys.argv[2]))\n"
        "except UserError as error: sys.exit(str(error))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, source, cache, str(per_shard)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the disk is full" in run.stderr
    assert run.stderr.count("\n") == 1
    assert nothing_left(cache)
