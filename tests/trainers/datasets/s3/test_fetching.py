"""Sources fetched from S3: once, in a cache of bounded size."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bad_proxy import BadProxy
from labelled_folders import picture, voc_folder
from s3_bucket import BUCKET, fetch, refused, upload

from trainers.datasets.opening import open_dataset
from trainers.datasets.s3 import fetching

pytestmark = pytest.mark.slow  # half a second for each, of a server's start and of waiting for it


ROOT = Path(__file__).parents[4]


def test_a_prefix_is_opened_as_the_folder_that_it_is(client, tmp_path):
    folder = voc_folder(tmp_path / "voc", 20)
    upload(client, folder, "some/voc")
    here = open_dataset(str(folder), tmp_path / "cache")
    there = open_dataset(f"s3://{BUCKET}/some/voc", tmp_path / "cache")
    assert there.fingerprint == here.fingerprint
    assert there.source == f"s3://{BUCKET}/some/voc"
    assert there.name == "voc"


def test_what_is_there_already_is_not_fetched_again_and_what_changed_is(client, tmp_path):
    upload(client, voc_folder(tmp_path / "voc", 6), "voc")
    folder, said = fetch(f"s3://{BUCKET}/voc")
    assert said == [f"downloaded 12 of 12 objects from s3://{BUCKET}/voc"]
    assert fetch(f"s3://{BUCKET}/voc/") == (folder, [])
    client.put_object(Bucket=BUCKET, Key="voc/images/3.jpg", Body=picture(99))
    client.delete_object(Bucket=BUCKET, Key="voc/annotations/4.xml")
    assert fetch(f"s3://{BUCKET}/voc")[1] == [f"downloaded 1 of 1 objects from s3://{BUCKET}/voc"]
    assert (folder / "images" / "3.jpg").read_bytes() == picture(99)
    assert not (folder / "annotations" / "4.xml").exists()
    (folder / "images" / "2.jpg").write_bytes(b"short")
    assert len(fetch(f"s3://{BUCKET}/voc")[1]) == 1
    assert (folder / "images" / "2.jpg").read_bytes() == picture(2)


def test_one_object_is_a_file_and_a_file_of_labels_brings_its_images(client):
    client.put_object(Bucket=BUCKET, Key="a/all.tfrecord", Body=b"records")
    client.put_object(Bucket=BUCKET, Key="a/labels.json", Body=b"{}")
    client.put_object(Bucket=BUCKET, Key="a/images/1.jpg", Body=b"image")
    file, _ = fetch(f"s3://{BUCKET}/a/all.tfrecord")
    assert (file.name, file.read_bytes(), len(list(file.parent.iterdir()))) == ("all.tfrecord", b"records", 1)
    file, _ = fetch(f"s3://{BUCKET}/a/labels.json")
    assert (file.parent / "images" / "1.jpg").read_bytes() == b"image"


FETCH = (
    "import sys; from trainers.datasets.s3.fetching import fetch; print(fetch(sys.argv[1], lambda _: None))"
)


def test_two_programs_fetch_a_source_once(client, server, tmp_path, monkeypatch):
    for number in range(8):
        client.put_object(Bucket=BUCKET, Key=f"a/{number}/object", Body=bytes([number]) * 1000)
    proxy = BadProxy(server)
    environment = os.environ | {"AWS_ENDPOINT_URL": proxy.url, "PYTHONPATH": str(ROOT)}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH, f"s3://{BUCKET}/a"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = {program.communicate()[0] for program in programs}
    assert [program.returncode for program in programs] == [0, 0]
    assert len(said) == 1
    assert sum(b"/object " in request.splitlines()[0] for request in proxy.requests) == 8


def test_a_disk_that_fills_up_on_the_way_is_said_and_the_download_goes_on_later(client, tmp_path):
    # a limit on the size of files stands in for a full disk: it is the kernel that refuses to write on
    body = os.urandom(3_000_000)
    client.put_object(Bucket=BUCKET, Key="big/object", Body=body)
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", limited + FETCH, f"s3://{BUCKET}/big"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "UserError: the disk is full at" in run.stderr.splitlines()[-1]
    assert not list((tmp_path / "s3").rglob("object"))
    (partial,) = (tmp_path / "s3").rglob(".object.*.partial")
    assert partial.stat().st_size == 2_000_000
    assert (fetch(f"s3://{BUCKET}/big")[0] / "object").read_bytes() == body


def test_the_cache_is_bounded_and_lets_go_of_what_was_not_used_for_longest(client, tmp_path):
    for name in ("a", "b", "c"):
        client.put_object(Bucket=BUCKET, Key=f"{name}/object", Body=bytes(1000))
    cache = fetching.Cache(tmp_path / "s3", 2500)
    first, second = (fetch(f"s3://{BUCKET}/{name}", cache=cache)[0] for name in ("a", "b"))
    assert "in use" in refused(f"s3://{BUCKET}/c", cache=cache)
    for age, folder in ((7200, first), (9000, second)):
        os.utime(folder.parent / ".last-used", (time.time() - age,) * 2)
    third, _ = fetch(f"s3://{BUCKET}/c", cache=cache)
    assert [folder.exists() for folder in (first, second, third)] == [True, False, True]
    client.put_object(Bucket=BUCKET, Key="d/object", Body=bytes(3000))
    assert "exceed the cache limit" in refused(f"s3://{BUCKET}/d", cache=cache)


def test_a_disk_without_room_is_said_before_anything_is_fetched(client, tmp_path, monkeypatch):
    client.put_object(Bucket=BUCKET, Key="a/object", Body=bytes(1000))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    assert "needs 1e-06 GB, but" in refused(f"s3://{BUCKET}/a")
    assert not list((tmp_path / "s3").rglob("object"))


def test_a_limit_that_is_no_number_is_said(monkeypatch):
    monkeypatch.setenv(fetching.LIMIT_VARIABLE, "much")
    assert "expected a number of gigabytes" in refused(f"s3://{BUCKET}/a")


def test_a_yaml_may_name_parts_on_s3(client, tmp_path):
    upload(client, voc_folder(tmp_path / "voc", 6), "train")
    (tmp_path / "few").mkdir()
    upload(client, voc_folder(tmp_path / "few" / "voc", 3), "val")
    (tmp_path / "pets.yaml").write_text(f"train: s3://{BUCKET}/train\nval: s3://{BUCKET}/val\n")
    opened = open_dataset(str(tmp_path / "pets.yaml"), tmp_path / "cache")
    assert (opened.train.images, opened.validation.images) == (6, 3)
