"""Decoded images in files: filled once, by one of several, and bounded."""

from __future__ import annotations

import os
import threading

import pytest

from trainers.object_detection_api.input_pipeline.decoded_image_cache import DecodedImageCache


def of_size(size: int):
    def fill(folder):
        (folder / "pixels").write_bytes(bytes(size))

    return fill


def kept(root) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir())


def test_a_part_is_written_once_however_many_ask_for_it_at_once(tmp_path):
    filled = []

    def fill(folder):
        filled.append(folder)
        of_size(10)(folder)

    asking = [
        threading.Thread(target=DecodedImageCache(tmp_path).folder, args=("a", 10, fill)) for _ in range(4)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(filled) == 1
    assert kept(tmp_path) == ["a"]


def test_what_was_used_longest_ago_makes_room_unless_it_is_in_use(tmp_path):
    for age, key in enumerate(("oldest", "older", "new")):
        DecodedImageCache(tmp_path, limit=100).folder(key, 30, of_size(30))
        os.utime(tmp_path / key, (age, age))
    user = DecodedImageCache(tmp_path, limit=100)
    assert user.folder("older", 30, of_size(30)) == tmp_path / "older"
    os.utime(tmp_path / "older", (0, 0))
    another = DecodedImageCache(tmp_path, limit=100)
    assert another.folder("next", 60, of_size(60)) == tmp_path / "next"
    assert kept(tmp_path) == ["next", "older"]
    assert another.folder("one more", 30, of_size(30)) is None  # both are in use


def test_what_is_too_large_is_not_written(tmp_path):
    assert DecodedImageCache(tmp_path, limit=100).folder("large", 101, of_size(101)) is None
    assert kept(tmp_path) == []


def test_what_a_killed_process_left_half_written_makes_room_too(tmp_path):
    left = tmp_path / ".a.x1y2z3"
    left.mkdir()
    of_size(90)(left)
    assert DecodedImageCache(tmp_path, limit=100).folder("b", 50, of_size(50)) == tmp_path / "b"
    assert kept(tmp_path) == ["b"]


def test_a_part_that_could_not_be_written_is_not_there(tmp_path):
    def fail(folder):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        DecodedImageCache(tmp_path).folder("a", 10, fail)
    assert kept(tmp_path) == []
    assert DecodedImageCache(tmp_path).folder("a", 10, of_size(10)) == tmp_path / "a"
