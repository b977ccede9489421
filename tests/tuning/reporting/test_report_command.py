"""The commands `report` and `compare`, as a person types them."""

from __future__ import annotations

import html.parser
import json
import re
import shutil

import made_study
import pytest

from tuning import compare, report

pytestmark = pytest.mark.slow

HOSTILE = ("<script>alert(1)</script>", "a|b *c*", "]]></style><img src=x onerror=alert(2)>")


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """The folder of a finished study of 14 trials of three detectors."""
    folder = tmp_path_factory.mktemp("studies") / "street"
    made_study.make(folder, 14, space="all", images=24)
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A running study whose class names are HTML."""
    folder = tmp_path_factory.mktemp("studies") / "<b>study"
    made_study.make(folder, 2, classes=HOSTILE, images=12, steps_of_last=134)
    return folder


class Page(html.parser.HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text += data


def test_it_writes_one_page_that_needs_nothing_else(street, capsys):
    assert report.main([str(street)]) == 0
    path = street / "report.html"
    assert capsys.readouterr().out.strip() == str(path)
    page = Page(path.read_text(encoding="utf-8"))
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            link = attributes.get(name) or ""
            assert link.startswith(("data:", "#")) or not link, (tag, link)
        assert tag != "link" or attributes["href"].startswith("data:")
    assert "viewport" in {attributes.get("name") for _, attributes in page.tags}
    assert page.text.count("mAP") > 5


def test_markdown_and_json_are_printed(street, capsys):
    assert report.main([str(street), "--format", "markdown"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# street\n")
    assert "## Ranking" in text
    table = re.findall(r"^\|.*$", text.partition("## Ranking")[2].partition("##")[0], re.M)
    assert len(table) > 3
    assert len({line.count("|") for line in table}) == 1
    assert report.main([str(street), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sections"]["ranking"]["trials"][0]["rank"] == 1
    assert set(found["sections"]["about"]) >= {"study", "space_hash", "data"}


def test_out_is_written_whole(street, tmp_path, capsys):
    out = tmp_path / "report.json"
    assert report.main([str(street), "--format", "json", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["study"] == "street"
    assert capsys.readouterr().out.strip() == str(out)
    assert list(tmp_path.iterdir()) == [out]


def test_an_unfinished_study_is_read_as_it_is(hostile, capsys):
    before = (hostile / "optuna.journal").read_bytes()
    assert report.main([str(hostile), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "; 1 unfinished" in found["trials"]
    assert "running" in {trial["state"] for trial in found["sections"]["ranking"]["trials"]}
    assert (hostile / "optuna.journal").read_bytes() == before


@pytest.mark.parametrize("trials", [0, 1])
def test_a_study_without_a_result_is_a_sound_page(trials, tmp_path, capsys):
    made_study.make(tmp_path / "street", trials, steps_of_last=0)
    assert report.main(["street", "--studies-dir", str(tmp_path)]) == 0
    page = Page((tmp_path / "street" / "report.html").read_text(encoding="utf-8"))
    assert "No result yet" in page.text
    assert "No trial has reached a rung yet" in page.text
    assert ("1 running" if trials else "no trial yet") in page.text
    for form in ("markdown", "json"):
        assert report.main(["street", "--studies-dir", str(tmp_path), "--format", form]) == 0


def test_html_in_names_is_shown_and_not_run(hostile, capsys):
    assert report.main([str(hostile)]) == 0
    text = (hostile / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    for name in (*HOSTILE, "<b>study"):
        assert name in page.text
    assert "alert(1)" not in "".join(re.findall(r"<script[^>]*>([^<]*)", text))
    assert {tag for tag, _ in page.tags}.isdisjoint({"b", "img"})
    capsys.readouterr()
    assert report.main([str(hostile), "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert "<script>" not in said
    assert r"a\|b \*c\*" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such study in"),
        ([], "the following arguments are required: study"),
        (["street", "--format", "pdf"], "invalid choice: 'pdf'"),
        (["street", "--price-per-hour", "-1"], "--price-per-hour must be 0 or more, not -1"),
        (["street", "--out", "missing/report.html"], "missing"),
    ],
)
def test_what_is_wrong_is_one_line(street, capsys, arguments, message):
    _refuses(report.main, [*arguments, "--studies-dir", str(street.parent)], message, capsys)


def test_a_damaged_file_is_named_in_one_line(tmp_path, capsys):
    made_study.make(tmp_path / "street", 1, images=12)
    path = tmp_path / "street" / "trials" / "0" / "detections-400.npz"
    path.write_bytes(path.read_bytes()[:100])
    _refuses(
        report.main, ["street", "--studies-dir", str(tmp_path)], "detections-400.npz: is damaged", capsys
    )
    assert not (tmp_path / "street" / "report.html").exists()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two studies of the same data, the second of another space and of fewer trials; a third of other data."""
    folder = tmp_path_factory.mktemp("studies")
    data = {"name": "drawn", "source": "drawn", "given": "nowhere", "classes": list(made_study.CLASSES)}
    data |= {"images": {"train": 100, "validation": 24}, "fingerprint": "0123", "subset": 1.0}
    made_study.make(folder / "long", 8, images=24, data=data)
    made_study.make(folder / "short", 2, space="retinanet", images=24, data=data)
    made_study.make(folder / "other", 1, images=24, data=data | {"fingerprint": "4567"})
    return folder


def test_studies_of_the_same_data_are_compared_with_their_costs_and_differences(pair, capsys):
    assert compare.main(["long", "short", "--studies-dir", str(pair), "--format", "json"]) == 0
    sections = json.loads(capsys.readouterr().out)["sections"]
    first, second = sections["best"]["studies"]
    assert first["value"] >= second["value"]
    assert second["lead"]["value"] == pytest.approx(first["value"] - second["value"])
    assert second["lead"]["low"] < second["lead"]["value"] < second["lead"]["high"]
    levels = {
        (each["study"], round(each["level"], 6)): each["steps"] for each in sections["levels"]["levels"]
    }
    top = round(first["value"], 6)
    assert levels[first["study"], top] <= first["steps"]
    assert levels[second["study"], top] is None, "never reached"
    assert (
        sections["differences"]["conditions"]["space"] == ["mobilenet", "retinanet"]
        or first["study"] == "short"
    )
    assert any("learning_rate" in line for line in sections["differences"]["spaces"][second["study"]])


def test_studies_of_different_data_are_not_ranked(pair, capsys):
    assert compare.main(["long", "other", "--studies-dir", str(pair)]) == 0
    said = capsys.readouterr().out
    assert "Not comparable: the studies use different data" in said
    assert "their results cannot be ranked" in said
    assert "significantly better" not in said


def test_a_comparison_is_a_page_too(pair, tmp_path):
    out = tmp_path / "compared.html"
    assert (
        compare.main(["long", "short", "--studies-dir", str(pair), "--format", "html", "--out", str(out)])
        == 0
    )
    assert "Steps and time to reach a level" in Page(out.read_text(encoding="utf-8")).text


def test_studies_of_the_same_name_are_told_apart_by_their_folders(pair, tmp_path, capsys):
    other = shutil.copytree(pair / "long", tmp_path / "long")
    assert compare.main(["long", str(other), "--studies-dir", str(pair), "--format", "json"]) == 0
    best = json.loads(capsys.readouterr().out)["sections"]["best"]
    assert {each["study"] for each in best["studies"]} == {str(pair / "long"), str(other)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["long"], "long: is only one study"), (["long", "nowhere"], "nowhere: no such study in")],
)
def test_what_cannot_be_compared_is_refused_in_one_line(pair, capsys, arguments, message):
    _refuses(compare.main, [*arguments, "--studies-dir", str(pair)], message, capsys)


def _refuses(main, arguments, message, capsys):
    try:
        code = main(arguments)
    except SystemExit as exit_:
        code = exit_.code
    said = capsys.readouterr()
    assert code == 2
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
