"""Results copied to S3, against a server of moto's."""

from __future__ import annotations

import json

import clips
import pytest
from problems import is_problem
from receiver import receiving
from servers import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return clips.make(tmp_path_factory.mktemp("clips") / "clip.mp4", 10)


def objects(bucket, prefix, name="videos"):
    """Content by the rest of the key."""
    found = bucket.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", [])
    return {
        each["Key"].removeprefix(prefix): bucket.get_object(Bucket=name, Key=each["Key"])["Body"].read()
        for each in found
    }


def test_the_results_are_copied_before_the_job_is_done(server, bucket, clip):
    with clip.open("rb") as file:
        answer = server.call(
            "POST", "/v1/jobs", files={"file": file}, data={"output_uri": "s3://videos/out/a job/"}
        )
    assert answer.status_code == 202, answer.text
    job = server.ended(answer.json()["id"])
    assert job["state"] == "done", job["error"]
    assert job["output_uri"] == "s3://videos/out/a job/"
    found = objects(bucket, "out/a job/")
    assert set(found) == {"video.webm", "detections.jsonl", "coco.json", "manifest.json"}
    for what, name in json.loads(found["manifest.json"])["files"].items():
        assert found[name] == server.call("GET", f"/v1/jobs/{job['id']}/{what}").content
    kind = bucket.head_object(Bucket="videos", Key="out/a job/video.webm")["ContentType"]
    assert kind == "video/webm"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s3://videos/in/x", "does not allow that output_uri"),
        ("s3://videos/outside", "does not allow that output_uri"),
        ("s3://videos/out/../in", "does not allow that output_uri"),
        ("file:///tmp", "must be s3://bucket/prefix"),
    ],
)
def test_another_place_is_refused(server, clip, uri, says):
    with clip.open("rb") as file:
        answer = server.call("POST", "/v1/jobs", files={"file": file}, data={"output_uri": uri})
    is_problem(answer, 422, says)


def test_a_job_whose_results_cannot_be_copied_now_is_tried_again(server, bucket, clip):
    with clip.open("rb") as file:
        answer = server.call(
            "POST", "/v1/jobs", files={"file": file}, data={"output_uri": "s3://later/again"}
        )
    job_id = answer.json()["id"]
    wait_for(lambda: "cannot be written" in (server.job(job_id)["error"] or ""))
    assert server.job(job_id)["state"] == "queued"
    bucket.create_bucket(Bucket="later")
    ended = server.ended(job_id)
    assert (ended["state"], ended["error"]) == ("done", None)
    assert "manifest.json" in objects(bucket, "again/", "later")


def test_a_batch_has_one_progress_one_manifest_and_one_message(server, bucket, clip):
    for name in ("a", "b"):
        bucket.upload_file(str(clip), "videos", f"in/{name}.mp4")
    uris = ["s3://videos/in/a.mp4", "s3://videos/in/gone.mp4", "s3://videos/in/b.mp4"]
    with receiving([]) as receiver:
        request = {
            "uris": uris, "options": {"annotate": False}, "output_uri": "s3://videos/out/night",
            "webhook": receiver.url,
        }  # fmt: skip
        batch = server.call("POST", "/v1/batches", json=request).json()
        wait_for(lambda: receiver.messages)
    (event,) = receiver.events()
    assert event["type"] == "batch.done"
    assert event["data"]["jobs"] == {
        "queued": 0, "running": 0, "done": 2, "failed": 1, "cancelled": 0, "removed": 0
    }  # fmt: skip
    assert (event["data"]["frames"], event["data"]["progress"]) == (20, 1.0)
    found = objects(bucket, "out/night/")
    manifest = json.loads(found["manifest.json"])
    assert manifest == server.call("GET", f"/v1/batches/{batch['id']}/manifest").json()
    assert [each["source"] for each in manifest["results"]] == uris
    assert [each["state"] for each in manifest["results"]] == ["done", "failed", "done"]
    assert "cannot be read (404)" in manifest["results"][1]["error"]
    for result in manifest["results"][::2]:
        for uri in result["files"].values():
            assert uri.removeprefix("s3://videos/out/night/") in found
