"""`python -m serve.detect --local`: one video, without a server."""

from __future__ import annotations

import json

import clips
import pytest

from serve.detect import main
from serve.exports.locating import located
from trainers.errors import UserError


@pytest.mark.slow
def test_a_video_is_annotated_without_a_server(rectangles_folder, tmp_path, capsys):
    source = clips.make(tmp_path / "clip.mp4", 20, audio="aac")
    out, lines, coco = tmp_path / "out.webm", tmp_path / "found.jsonl", tmp_path / "found.json"
    words = [
        str(source),
        "--local",
        "--model",
        str(rectangles_folder),
        "--backend",
        "openvino",
        "--out",
        str(out),
    ]
    assert main([*words, "--detections", str(lines), "--coco", str(coco)]) == 0
    assert len(clips.facts_of(out)["times"]) == 20
    assert len(lines.read_text().splitlines()) == 20
    assert len(json.loads(coco.read_text())) == 20
    assert not list(tmp_path.glob(".detect*")), "no temporary folder is left"
    assert "video: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gone.mp4", "--out", "OUT.webm"], "gone.mp4: no such file"),
        (["CLIP", "--out", "OUT.avi"], "container: Input should be 'webm' or 'mp4'"),
        (["CLIP", "--out", "OUT.webm", "--codec", "h264"], "webm takes vp8, vp9 or av1"),
        (
            ["CLIP", "--out", "OUT.webm", "--threshold", "7"],
            "threshold: Input should be less than or equal to 1",
        ),
        (["CLIP"], "no output was chosen"),
        (["CLIP", "--out", "nowhere/out.webm"], "the folder does not exist"),
        (["CLIP", "--out", "OUT.webm"], "no model was chosen"),
        (["CLIP", "--out", "OUT.webm", "--model", "."], "not an export"),
        (["CLIP", "--out", "OUT.webm", "--model", "EXPORT", "--study", "a"], "either --study or --model"),
        (["CLIP", "--out", "OUT.webm", "--study", "night"], "no such study"),
        (["NOISE", "--out", "OUT.webm", "--model", "EXPORT"], "not a readable video"),
        (
            ["CLIP", "--out", "OUT.webm", "--model", "EXPORT", "--backend", "abacus"],
            "unknown backend 'abacus'",
        ),
    ],
)
def test_an_error_is_one_line_and_nothing_is_written(
    words, says, rectangles_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 100)
    clips.make(tmp_path / "clip.mp4", 3)
    places = {"CLIP": "clip.mp4", "NOISE": "noise.mp4", "EXPORT": str(rectangles_folder)}
    before = set(tmp_path.iterdir())
    assert main([*(places.get(word, word.replace("OUT", "out")) for word in words), "--local"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert says in error
    assert set(tmp_path.iterdir()) == before


def test_of_a_study_and_a_model_neither_is_taken_without_a_word(tmp_path):
    with pytest.raises(UserError, match="give either --study or --model"):
        located("models:/street@champion", "street", tmp_path)
