"""One object downloaded: resumed after a break, verified, whole or not at all."""

import os
import time

import pytest
from bad_proxy import BadProxy
from labelled_folders import picture, voc_folder
from s3_bucket import BUCKET, fetch, refused, upload

from trainers.datasets.opening import open_dataset
from trainers.datasets.s3.download import S3Object, download
from trainers.errors import UserError

pytestmark = pytest.mark.slow  # half a second for each, of a server's start and of waiting for it


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
    with pytest.raises(UserError, match="corrupt or changed at every download"):
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
    with pytest.raises(UserError, match="corrupt or changed at every download"):
        open_dataset(f"s3://{BUCKET}/voc", tmp_path / "cache")
    assert not list((tmp_path / "s3").rglob("object"))
    assert not (tmp_path / "cache").exists()
