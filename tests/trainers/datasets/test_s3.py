import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
import requests
from bad_proxy import BadProxy
from labelled_folders import picture, voc_folder
from moto.server import ThreadedMotoServer

from trainers.datasets.opening import open_dataset
from trainers.datasets.s3 import fetching
from trainers.datasets.s3.download import S3Object, download
from trainers.errors import UserError

BUCKET = "pets"
ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow  # half a second for each, of a server's start and of waiting for it


@pytest.fixture(scope="module")
def server():
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def client(server, tmp_path, monkeypatch):
    """A client of an empty S3 that has one bucket, which the environment leads to."""
    requests.post(f"{server}/moto-api/reset", timeout=10).raise_for_status()
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv(fetching.CACHE_VARIABLE, str(tmp_path / "s3"))
    made = boto3.client("s3", region_name="us-east-1")
    made.create_bucket(Bucket=BUCKET)
    return made


def upload(client, folder, prefix: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            client.upload_file(str(file), BUCKET, f"{prefix}/{file.relative_to(folder).as_posix()}")


def fetch(uri: str, **options):
    said: list[str] = []
    return fetching.fetch(uri, said.append, **options), said


def refused(uri: str, **options) -> str:
    with pytest.raises(UserError) as error:
        fetch(uri, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


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
    assert said == [f"fetched 12 of 12 objects from s3://{BUCKET}/voc"]
    assert fetch(f"s3://{BUCKET}/voc/") == (folder, [])
    client.put_object(Bucket=BUCKET, Key="voc/images/3.jpg", Body=picture(99))
    client.delete_object(Bucket=BUCKET, Key="voc/annotations/4.xml")
    assert fetch(f"s3://{BUCKET}/voc")[1] == [f"fetched 1 of 1 objects from s3://{BUCKET}/voc"]
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


@pytest.fixture
def no_credentials(client, monkeypatch):
    """An environment in which nobody has logged in."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_a_public_bucket_needs_no_credentials(client, server, no_credentials, monkeypatch):
    client.put_object(Bucket=BUCKET, Key="a/1.txt", Body=b"1", ACL="public-read")
    proxy = BadProxy(server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    assert (fetch(f"s3://{BUCKET}/a")[0] / "1.txt").read_bytes() == b"1"
    assert len(proxy.requests) == 2
    assert not [request for request in proxy.requests if b"authorization" in request.lower()]


DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def test_a_private_bucket_without_credentials_is_said(client, server, no_credentials, monkeypatch):
    # as Amazon answers; moto does not know of requests without a signature
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(
        DENIED
    )
    proxy = BadProxy(server, answer=answer + DENIED)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    assert "there are no credentials, and the bucket is not public" in refused(f"s3://{BUCKET}/a")


def test_a_missing_bucket_or_prefix_is_said(client):
    assert "there is no such bucket" in refused("s3://nobody-has-this/a")
    assert "there is nothing" in refused(f"s3://{BUCKET}/nowhere")
    assert "give a bucket" in refused("s3://")


def test_wrong_credentials_are_said(client, server, monkeypatch):
    client.put_object(Bucket=BUCKET, Key="a/1.txt", Body=b"1")
    requests.post(f"{server}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
    try:
        assert "S3 refuses these credentials (InvalidAccessKeyId)" in refused(f"s3://{BUCKET}/a")
    finally:
        requests.post(f"{server}/moto-api/reset-auth", data=b"inf", timeout=10)


def test_an_endpoint_that_does_not_answer_is_said(client, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "S3 cannot be reached" in refused(f"s3://{BUCKET}/a")


def test_a_key_that_leads_out_of_its_folder_is_refused(client, tmp_path):
    client.put_object(Bucket=BUCKET, Key="a/../../escaped.txt", Body=b"1")
    assert "would leave its folder" in refused(f"s3://{BUCKET}/a")
    assert not list(tmp_path.rglob("escaped.txt"))


def test_an_object_that_went_away_is_said(client, tmp_path):
    entry = S3Object("a/1.txt", 3, "0" * 32)
    with pytest.raises(client.exceptions.NoSuchKey):
        download(client, BUCKET, entry, tmp_path / "1.txt")
    assert not (tmp_path / "1.txt").exists()


def test_an_object_that_changed_since_it_was_listed_is_fetched_as_it_is_now(client, tmp_path):
    etag = client.put_object(Bucket=BUCKET, Key="a", Body=b"old old old")["ETag"].strip('"')
    old = S3Object("a", 11, etag)
    old.partial(tmp_path / "a").write_bytes(b"old ol")
    client.put_object(Bucket=BUCKET, Key="a", Body=b"new")
    now = download(client, BUCKET, old, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (now.size, now.etag != etag) == (3, True)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_download_goes_on_where_a_killed_one_left_off(client, tmp_path):
    body = os.urandom(50_000)
    etag = client.put_object(Bucket=BUCKET, Key="a", Body=body)["ETag"].strip('"')
    entry = S3Object("a", len(body), etag)
    entry.partial(tmp_path / "a").write_bytes(body[:40_000])
    asked = []
    client.meta.events.register(
        "before-send.s3.GetObject", lambda request, **_: asked.append(request.headers.get("Range"))
    )
    download(client, BUCKET, entry, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == body
    assert asked == [b"bytes=40000-"]


def test_what_was_kept_of_a_download_but_is_corrupt_is_fetched_anew(client, tmp_path):
    body = os.urandom(50_000)
    etag = client.put_object(Bucket=BUCKET, Key="a", Body=body)["ETag"].strip('"')
    entry = S3Object("a", len(body), etag)
    entry.partial(tmp_path / "a").write_bytes(bytes(40_000))
    download(client, BUCKET, entry, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == body


def test_an_object_that_arrives_corrupt_each_time_never_gets_its_name(client, tmp_path):
    client.put_object(Bucket=BUCKET, Key="a", Body=b"right")
    wrong = S3Object("a", 3, client.head_object(Bucket=BUCKET, Key="a")["ETag"].strip('"'))
    with pytest.raises(UserError, match="arrives corrupt"):
        download(client, BUCKET, wrong, tmp_path / "a")
    assert list(tmp_path.glob("*a*")) == []


def test_a_download_survives_connections_that_break(client, server, tmp_path, monkeypatch):
    body = os.urandom(200_000)
    client.put_object(Bucket=BUCKET, Key="big/object", Body=body)
    proxy = BadProxy(server, cuts=3, after=50_000)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    folder, _ = fetch(f"s3://{BUCKET}/big")
    assert proxy.cuts == 0
    assert (folder / "object").read_bytes() == body


def test_a_connection_that_only_breaks_is_given_up_and_what_came_is_kept(
    client, server, tmp_path, monkeypatch
):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    body = os.urandom(200_000)
    client.put_object(Bucket=BUCKET, Key="big/object", Body=body)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    proxy = BadProxy(server, cuts=10**6, after=0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    assert "the connection keeps breaking" in refused(f"s3://{BUCKET}/big")
    assert not list((tmp_path / "s3").rglob("object"))
    proxy.cuts = 0
    assert (fetch(f"s3://{BUCKET}/big")[0] / "object").read_bytes() == body


def test_bytes_that_change_on_their_way_are_fetched_again(client, server, tmp_path, monkeypatch):
    body = os.urandom(50_000)
    client.put_object(Bucket=BUCKET, Key="big/object", Body=body)
    proxy = BadProxy(server, flips=2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    folder, _ = fetch(f"s3://{BUCKET}/big")
    assert proxy.flips == 0
    assert (folder / "object").read_bytes() == body


def test_bytes_that_always_change_on_their_way_are_never_opened(client, server, tmp_path, monkeypatch):
    upload(client, voc_folder(tmp_path / "voc", 4), "voc")
    client.put_object(Bucket=BUCKET, Key="voc/images/object", Body=picture(9))
    proxy = BadProxy(server, flips=10**6)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    with pytest.raises(UserError, match="it changes, or arrives corrupt, each time"):
        open_dataset(f"s3://{BUCKET}/voc", tmp_path / "cache")
    assert not list((tmp_path / "s3").rglob("object"))
    assert not (tmp_path / "cache").exists()


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
    assert "over the cache's limit" in refused(f"s3://{BUCKET}/d", cache=cache)


def test_a_disk_without_room_is_said_before_anything_is_fetched(client, tmp_path, monkeypatch):
    client.put_object(Bucket=BUCKET, Key="a/object", Body=bytes(1000))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    assert "are to be fetched, but" in refused(f"s3://{BUCKET}/a")
    assert not list((tmp_path / "s3").rglob("object"))


def test_a_limit_that_is_no_number_is_said(monkeypatch):
    monkeypatch.setenv(fetching.LIMIT_VARIABLE, "much")
    assert "give a number of gigabytes" in refused(f"s3://{BUCKET}/a")


def test_a_yaml_may_name_parts_on_s3(client, tmp_path):
    upload(client, voc_folder(tmp_path / "voc", 6), "train")
    (tmp_path / "few").mkdir()
    upload(client, voc_folder(tmp_path / "few" / "voc", 3), "val")
    (tmp_path / "pets.yaml").write_text(f"train: s3://{BUCKET}/train\nval: s3://{BUCKET}/val\n")
    opened = open_dataset(str(tmp_path / "pets.yaml"), tmp_path / "cache")
    assert (opened.train.images, opened.validation.images) == (6, 3)
