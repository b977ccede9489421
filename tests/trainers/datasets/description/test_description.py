"""What a description counts, and the page that shows it."""

import json
from xml.sax.saxutils import escape

from labelled_folders import picture, voc, voc_folder

from trainers.datasets.__main__ import main


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
    assert any("images with more than 100 boxes" in warning for warning in told["warnings"])
    assert main(["describe", str(source), "--cache", str(tmp_path / "cache")]) == 0
    table = capsys.readouterr().out
    assert "boxes by class" in table
    assert "duplicate images within a part: 1" in table


def test_describe_finds_a_picture_in_two_parts(tmp_path, capsys):
    voc_folder(tmp_path / "pets" / "train", 6)
    voc_folder(tmp_path / "pets" / "val", 2)
    assert main(["describe", str(tmp_path / "pets"), "--json", "--cache", str(tmp_path / "cache")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["leaks"] == 2
    assert "which biases validation" in told["warnings"][0]


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
    assert "which biases validation" in text
    assert "<img" not in text
    assert "<b>" not in text
