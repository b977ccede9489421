"""The three commands, as a person calls them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from labelled_folders import picture, voc, voc_folder

from trainers.datasets import formats
from trainers.datasets.__main__ import main
from trainers.datasets.dataset import read_manifest
from trainers.datasets.label_map import write_label_map
from trainers.datasets.opening import open_dataset
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
    assert "is there already" in capsys.readouterr().err


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


def test_who_reads_only_the_beginning_of_a_report_is_not_told_of_an_error(tmp_path):
    source = voc_folder(tmp_path / "pets", 4)
    command = [sys.executable, "-m", "trainers.datasets", "check", str(source)]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


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


def test_describe_counts_what_is_there(tmp_path, capsys):
    source = voc_folder(tmp_path / "pets", 20)
    voc(source, 20, *[("dog", 1, 1, 9, 9)] * 101)
    voc(source, 21)
    voc(source, 22, ("cat", 4, 8, 40, 60), data=picture(1))
    assert main(["describe", str(source), "--json", "--cache", str(tmp_path / "cache")]) == 0
    told = json.loads(capsys.readouterr().out)
    parts = told["parts"].values()
    assert sum(part["images"] for part in parts) == 23
    assert sum(part["empty"] for part in parts) == 1
    assert sum(part["crowded"] for part in parts) == 1
    assert sum(part["by_class"].get("dog", 0) for part in parts) == 10 + 101
    assert sum(part["by_size"].get("dog small", 0) for part in parts) == 101
    assert sum(part["by_size"].get("cat medium", 0) for part in parts) == 11
    assert sum(part["by_shape"].get("cat wide", 0) for part in parts) == 11
    assert (told["duplicates"], told["leaks"]) == (1, 0)
    assert any("more than 100 boxes" in warning for warning in told["warnings"])
    assert main(["describe", str(source), "--cache", str(tmp_path / "cache")]) == 0
    table = capsys.readouterr().out
    assert "boxes by class" in table
    assert "same picture twice in a part: 1" in table


def test_describe_finds_a_picture_in_two_parts(tmp_path, capsys):
    voc_folder(tmp_path / "pets" / "train", 6)
    voc_folder(tmp_path / "pets" / "val", 2)
    assert main(["describe", str(tmp_path / "pets"), "--json", "--cache", str(tmp_path / "cache")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["leaks"] == 2
    assert "validation is too kind" in told["warnings"][0]


def test_the_page_shows_samples_and_no_name_in_it_is_taken_for_html(tmp_path):
    evil = "<script>alert(1)</script>"
    source = tmp_path / "pets"
    for number in range(8):
        voc(source, number, (evil.replace("<", "&lt;"), 4, 8, 40, 60))
    page = tmp_path / "page.html"
    assert main(["describe", str(source), "--html", str(page), "--cache", str(tmp_path / "cache")]) == 0
    text = page.read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert text.count("<text ") == 8
    assert text.count("data:image/jpeg;base64,") == 8
    assert "http" not in text.replace("http://www.w3.org", "")


def test_the_page_shows_every_class_and_the_duplicates_and_no_file_name_in_it_is_taken_for_html(tmp_path):
    source = voc_folder(tmp_path / "pets" / "train", 40).parent
    voc_folder(source / "val", 3)
    voc(source / "train", 40, (escape('<b>rare & "quoted"</b>'), 4, 8, 40, 60))
    evil = '"><img src=x onerror=alert(1)>.jpg'
    (source / "train" / "images" / "7.jpg").rename(source / "train" / "images" / evil)
    xml = source / "train" / "annotations" / "7.xml"
    xml.write_text(xml.read_text().replace("7.jpg", escape(evil)))
    page = tmp_path / "page.html"
    assert main(["describe", str(source), "--html", str(page), "--cache", str(tmp_path / "cache")]) == 0
    text = page.read_text(encoding="utf-8")
    train, validation = text.split("<h2>")[1:]
    assert train.count("<figure>") == 12
    assert validation.count("<figure>") == 3
    for name in ("cat", "dog", "&lt;b&gt;rare &amp; &quot;quoted&quot;&lt;/b&gt;"):
        assert f">{name}</text>" in train
    assert "validation is too kind" in text
    assert "<img" not in text
    assert "<b>" not in text


def test_check_names_every_problem_and_ends_with_2_when_it_is_too_much(tmp_path, capsys):
    source = voc_folder(tmp_path / "pets", 40)
    assert main(["check", str(source)]) == 0
    assert "0 problems; 0 of 40 images" in capsys.readouterr().out
    voc(source, 3, ("cat", 4, 80, 40, 90))
    assert main(["check", str(source)]) == 0
    assert "annotations/3.xml:4: box outside its image" in capsys.readouterr().out
    for number in (5, 6):
        voc(source, number, data=b"no picture")
    assert main(["check", str(source)]) == 2
    told = capsys.readouterr()
    assert told.out.count("unreadable image") == 2
    assert "3 of 40 images cannot be trusted" in told.err


def test_check_goes_on_after_what_alone_is_too_much(tmp_path, capsys):
    source = voc_folder(tmp_path / "pets", 40)
    write_label_map(source / "map.pbtxt", ["cat", "dog"])
    voc(source, 3, ("cta", 4, 8, 40, 60))
    voc(source, 7, ("god", 4, 8, 40, 60))
    assert main(["check", str(source)]) == 2
    told = capsys.readouterr()
    assert "annotations/3.xml:4: unknown label: label 'cta'" in told.out
    assert "annotations/7.xml:4: unknown label: label 'god'" in told.out
    assert told.err.count("\n") == 1


def test_a_source_that_is_not_there_ends_with_2(tmp_path, capsys):
    for command in (["check"], ["describe", "--cache", str(tmp_path)], ["convert"]):
        after = [str(tmp_path / "out")] if command == ["convert"] else []
        assert main([command[0], str(tmp_path / "nowhere"), *after, *command[1:]]) == 2
        assert "there is no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: command"),
        (["train"], "invalid choice: 'train'"),
        (["check"], "the following arguments are required: SRC"),
        (
            ["check", "toy-city"],
            "toy-city: is generated, and labelled as it is drawn; there is nothing to check",
        ),
        (["check", "s3://"], "give a bucket and a prefix"),
        (["check", "{empty}"], "an empty folder; known are"),
        (["describe", "{pets}", "--html", "{pets}"], "give the name of a file in a folder that is there"),
        (["describe", "{pets}", "--html", "{pets}/no/page.html"], "give the name of a file"),
        (["describe", "{pets}", "--cache", "{pets}/images/0.jpg"], "cannot be written"),
        (["convert", "{pets}"], "the following arguments are required: DST"),
        (["convert", "{pets}", "{out}", "--to", "voc"], "unknown format 'voc'; known are"),
        (["convert", "{pets}", "{out}", "--subset", "0"], "subset '0' should be a share"),
        (["convert", "{pets}", "{pets}/images/0.jpg/out"], "cannot be written"),
        (["convert", "{pets}", "{out}", "--to", "waymo"], "Waymo's exports have no class 'cat'"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2_and_nothing_is_written(words, said, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    places = {"pets": voc_folder(tmp_path / "pets", 4), "empty": tmp_path / "empty", "out": tmp_path / "out"}
    before = sorted(tmp_path.rglob("*"))
    try:
        code = main([word.format(**places) for word in words])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    lines = [
        line for line in capsys.readouterr().err.splitlines() if not line.startswith(("converted", "reading"))
    ]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="needs a folder that takes no file: Linux's /proc"
)
def test_a_folder_in_which_nothing_can_be_made_is_not_waited_for(tmp_path, capsys):
    assert main(["convert", str(voc_folder(tmp_path / "pets", 4)), "/proc/pets-of-a-test"]) == 2
    assert "cannot be written" in capsys.readouterr().err


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
