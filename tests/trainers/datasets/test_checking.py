"""Every problem of a source is named, and the exit code says whether training would refuse it."""

import os
import subprocess
import sys
from pathlib import Path

from labelled_folders import voc, voc_folder

from trainers.datasets.__main__ import main
from trainers.datasets.label_map import write_label_map


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


def test_check_names_every_problem_and_ends_with_2_when_it_is_too_much(tmp_path, capsys):
    source = voc_folder(tmp_path / "pets", 40)
    assert main(["check", str(source)]) == 0
    assert "0 problems; 0 of 40 images" in capsys.readouterr().out
    voc(source, 3, ("cat", 4, 80, 40, 90))
    assert main(["check", str(source)]) == 0
    assert "annotations/3.xml:4: box outside the image" in capsys.readouterr().out
    for number in (5, 6):
        voc(source, number, data=b"no picture")
    assert main(["check", str(source)]) == 2
    told = capsys.readouterr()
    assert told.out.count("unreadable image") == 2
    assert "3 of 40 images have problems" in told.err


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
