"""URIs of videos: S3 keys are literal, file:// paths are percent-encoded."""

from __future__ import annotations

import os

import pytest

from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.storage import s3, sources


@pytest.fixture
def settings(tmp_path):
    return Settings(data=tmp_path, file_roots=(tmp_path,), limits=Limits(free_bytes=0))


@pytest.mark.parametrize(
    "key", ["take#2.mp4", "a?b.mp4", "100%.mp4", "a%20b.mp4", "in/a b/c.mp4", "/lead.mp4"]
)
def test_an_s3_key_is_taken_literally(key):
    assert s3.bucket_and_key(f"s3://bucket/{key}") == ("bucket", key)
    assert sources.name_of(f"s3://bucket/{key}") == key.rpartition("/")[2]


@pytest.mark.parametrize(
    ("name", "escaped"), [("take#2.mp4", "take%232.mp4"), ("a?b.mp4", "a%3Fb.mp4"), ("50%.mp4", "50%25.mp4")]
)
def test_a_file_uri_must_be_percent_encoded(name, escaped, settings, tmp_path):
    (tmp_path / name).write_bytes(b"video")
    with pytest.raises(Refused, match=r"as %[0-9A-F]{2}$") as error:
        sources.check(f"file://{tmp_path}/{name}", settings)
    assert error.value.status == 422
    sources.fetch(f"file://{tmp_path}/{escaped}", tmp_path / "fetched", settings)
    assert (tmp_path / "fetched").read_bytes() == b"video"
    assert sources.name_of(f"file://{tmp_path}/{escaped}") == name


@pytest.mark.parametrize("uri", ["http://x/y.mp4", "ftp:x", "", "s3", "file:x", "://", "file://host/x"])
def test_other_uris_are_refused(uri, settings):
    with pytest.raises(Refused) as error:
        sources.check(uri, settings)
    assert error.value.status == 422


def test_aws_region_is_the_region_of_videos_and_results(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_REGION", "cn-north-1")
    assert s3.client().meta.endpoint_url == "https://s3.cn-north-1.amazonaws.com.cn"
