"""Videos on S3, against a server of moto's."""

from __future__ import annotations

import clips
import pytest

pytestmark = pytest.mark.slow


def test_a_video_under_an_allowed_prefix_is_fetched_and_processed(server, bucket, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 10)
    key = "in/night/a take#2 50%?.mp4"
    bucket.upload_file(str(clip), "videos", key)
    answer = server.call("POST", "/v1/jobs", json={"uri": f"s3://videos/{key}"})
    assert answer.status_code == 202, answer.text
    job = server.ended(answer.json()["id"])
    assert job["state"] == "done", job["error"]
    assert job["video"]["frames"] == 10


@pytest.mark.parametrize(
    ("key", "status", "says"),
    [
        ("in/gone.mp4", 422, "cannot be read (404)"),
        ("secret/clip.mp4", 422, "does not allow"),
        ("in/large.mp4", 413, "bytes"),
    ],
)
def test_a_missing_forbidden_or_too_large_object_is_refused(server, bucket, key, status, says):
    bucket.put_object(Bucket="videos", Key="secret/clip.mp4", Body=b"x")
    bucket.put_object(Bucket="videos", Key="in/large.mp4", Body=bytes(4_000_000))
    answer = server.call("POST", "/v1/jobs", json={"uri": f"s3://videos/{key}"})
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_an_s3_that_does_not_answer_is_said_to_be_so(server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    answer = server.call("POST", "/v1/jobs", json={"uri": "s3://videos/in/clip.mp4"})
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"]


def test_an_object_that_is_not_a_video_becomes_a_failed_job(server, bucket):
    bucket.put_object(Bucket="videos", Key="in/noise.mp4", Body=b"noise" * 1000)
    job = server.ended(server.call("POST", "/v1/jobs", json={"uri": "s3://videos/in/noise.mp4"}).json()["id"])
    assert job["state"] == "failed"
    assert "not a readable video" in job["error"]
