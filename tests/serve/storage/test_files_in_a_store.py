"""A deployment whose machines share no disk: files in S3, jobs in PostgreSQL, and a folder of its own for each."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import clips
import pytest
from servers import TOKEN, served, wait_for

from serve import run as serve_run
from serve import token as serve_token
from serve.deployment.preparing import prepare_model
from serve.deployment.settings import parsed
from serve.errors import Refused
from serve.exports.model_folder import read_model
from serve.jobs import running
from serve.jobs.job import Job
from serve.jobs.options import Options
from serve.jobs.store import JobStore
from serve.storage import stored_job_files
from serve.storage.opening import open_database, open_files_store, open_secret
from serve.storage.tokens import NAME, Tokens
from serve.video.segments import Segment
from trainers.errors import UserError

pytestmark = pytest.mark.slow
FRAMES = 60


def keys(bucket, prefix="serving/jobs/"):
    found = bucket.list_objects_v2(Bucket="videos", Prefix=prefix).get("Contents", [])
    return {entry["Key"].removeprefix(prefix) for entry in found}


def frames(server, job_id):
    lines = server.call("GET", f"/v1/jobs/{job_id}/detections").text.splitlines()
    return [json.loads(line)["frame"] for line in lines]


def test_a_video_sent_to_one_machine_is_processed_by_another_and_fetched_from_a_third(machine, clip, bucket):
    with served(machine("first"), replica=False) as server:
        job = server.submit(clip).json()["id"]
    with served(machine("second")) as server:
        assert server.ended(job)["state"] == "done"
    with served(machine("third"), replica=False) as server:
        assert frames(server, job) == list(range(FRAMES))
        assert server.call("GET", f"/v1/jobs/{job}/source").content == clip.read_bytes()
        video = server.call("GET", f"/v1/jobs/{job}/video")
        assert video.headers["Content-Type"] == "video/webm"
        assert len(video.content) > 1000
    for name in ("first", "second", "third"):
        assert not list(machine(name).jobs_folder.rglob("input"))
        assert not (machine(name).data / NAME).exists()
    assert not [key for key in keys(bucket) if "/work/" in key]


def test_another_machine_goes_on_after_the_last_segment_in_the_store(
    machine, clip, bucket, tmp_path, monkeypatch
):
    long = clips.make(tmp_path / "long.mp4", 600)
    with served(machine("first")) as server:
        job = server.submit(long).json()["id"]
        wait_for(lambda: server.job(job)["frames"] > 60)
    shutil.rmtree(machine("first").data)
    there = {int(key[-11:-5]) for key in keys(bucket) if "/work/" in key and key.endswith(".json")}
    assert there
    made = []
    real = stored_job_files.StoredJobFiles.keep_segment
    monkeypatch.setattr(
        stored_job_files.StoredJobFiles, "keep_segment", lambda *words: (made.append(words[2]), real(*words))
    )
    with served(machine("second")) as server:
        assert server.ended(job)["state"] == "done"
        assert frames(server, job) == list(range(600))
    assert made == list(range(len(there), 600 // 12))


AWAY, FULL, OTHER = Refused(503, "S3 does not answer"), OSError(28, "disk full"), RuntimeError("unexpected")


@pytest.mark.parametrize(
    ("method", "error"),
    [
        *((name, AWAY) for name in ("segments", "bring", "keep_segment", "keep_result", "leave")),
        ("keep_segment", FULL), ("leave", OTHER),
    ],
)  # fmt: skip
def test_a_fault_at_any_step_loses_no_frame(machine, clip, monkeypatch, method, error):
    real, calls = getattr(stored_job_files.StoredJobFiles, method), []

    def once(self, *words):
        calls.append(words)
        if len(calls) == (2 if method == "keep_segment" else 1):
            raise error
        return real(self, *words)

    monkeypatch.setattr(running, "pause", lambda faults: 0.0)
    monkeypatch.setattr(stored_job_files.StoredJobFiles, method, once)
    with served(machine("first")) as server:
        job = server.submit(clip).json()["id"]
        assert server.ended(job)["state"] == "done"
        assert frames(server, job) == list(range(FRAMES))
    assert calls


def test_a_process_that_has_lost_its_job_changes_nothing_of_the_results(machine, clip):
    settings = machine("first")
    with served(settings) as server:
        job_id = server.submit(clip).json()["id"]
        server.ended(job_id)
        done = server.call("GET", f"/v1/jobs/{job_id}/detections").content
        files = stored_job_files.StoredJobFiles(machine("late").jobs_folder, open_files_store(settings.files))
        job = JobStore(open_database(settings), files).get(job_id)
        (files.folder(job_id) / "result").mkdir(parents=True)
        (files.folder(job_id) / "result" / "detections.jsonl").write_text("other")
        files.keep_result(replace(job, claim=job.claim - 1), lambda: None)
        assert server.call("GET", f"/v1/jobs/{job_id}/detections").content == done


def test_a_segment_is_kept_once(machine, bucket, tmp_path):
    """The first process that has finished it wins; the second one's files are not those that others fetch."""
    store = open_files_store("s3://videos/serving")
    job = Job(
        "a-job", "running", "clip", "s3://videos/in/clip.mp4", Options(), None, "model", 0.0, None, None, 0, 0, 0, 0,
        None, None, None, 1, 0, 0, 0.0, None, None, None, 1,
    )  # fmt: skip
    for claim in (1, 2):
        files = stored_job_files.StoredJobFiles(tmp_path / f"machine-{claim}", store)
        work = files.folder("a-job") / "work"
        work.mkdir(parents=True)
        (work / "000000.jsonl").write_text(f"lines of {claim}")
        (work / "000000.json").write_text(json.dumps(asdict(Segment(0, 0, 12, "0", "1", 96, 128))))
        files.keep_segment(replace(job, claim=claim), 0, None)
    files = stored_job_files.StoredJobFiles(tmp_path / "machine-3", store)
    (files.folder("a-job") / "work").mkdir(parents=True)
    files.bring(replace(job, claim=3), None, lambda: None)
    assert (files.folder("a-job") / "work" / "000000.jsonl").read_text() == "lines of 1"
    assert files.segments(job) == 1


def test_a_video_on_s3_is_fetched_by_its_uri(machine, clip, bucket):
    bucket.put_object(Bucket="videos", Key="in/clip.mp4", Body=clip.read_bytes())
    settings = machine("first").model_copy(update={"s3_prefixes": ("s3://videos/in",)})
    with served(settings) as server:
        job = server.call("POST", "/v1/jobs", json={"uri": "s3://videos/in/clip.mp4"}).json()["id"]
        batch = server.call("POST", "/v1/batches", json={"uris": ["s3://videos/in/clip.mp4"] * 2}).json()[
            "id"
        ]
        for each in (
            job,
            *(found["id"] for found in server.call("GET", f"/v1/jobs?batch={batch}").json()["jobs"]),
        ):
            assert server.ended(each)["state"] == "done"
            assert frames(server, each) == list(range(FRAMES))
        results = server.call("GET", f"/v1/batches/{batch}/manifest").json()["results"]
        assert [sorted(found["files"]) for found in results] == [["coco", "detections", "video"]] * 2
        assert server.call("GET", f"/v1/jobs/{job}/source").status_code == 404


def test_a_job_that_is_removed_leaves_nothing(machine, clip, bucket):
    with served(machine("first")) as server:
        done, waiting = server.submit(clip).json()["id"], None
        server.ended(done)
    with served(machine("second"), replica=False) as server:
        waiting = server.submit(clip).json()["id"]
        assert server.call("DELETE", f"/v1/jobs/{waiting}").json()["state"] == "cancelled"
        assert server.call("DELETE", f"/v1/jobs/{done}").status_code == 204
    assert keys(bucket) == set()


def test_objects_without_a_job_are_swept_up_after_a_while(machine, bucket, monkeypatch):
    bucket.put_object(Bucket="videos", Key="serving/jobs/nobody/input", Body=b"x")
    files = stored_job_files.StoredJobFiles(
        machine("first").jobs_folder, open_files_store("s3://videos/serving")
    )
    monkeypatch.setattr(stored_job_files, "SWEEP_SECONDS", 0.0)
    files.sweep(lambda job_id: False, lambda job_id: False)
    assert keys(bucket) == {"nobody/input"}
    monkeypatch.setattr(stored_job_files, "LEFT_SECONDS", -1.0)
    files.sweep(lambda job_id: False, lambda job_id: False)
    assert keys(bucket) == set()


def test_a_machine_fetches_the_model_once_and_verifies_it(machine, bucket, rectangles):
    settings = machine("second")
    assert read_model(settings, rectangles.export_id).export_id == rectangles.export_id
    assert (settings.models_folder / rectangles.export_id / "manifest.json").is_file()
    (network,) = [key for key in keys(bucket, "") if key.endswith("saved_model.pb")]
    bucket.put_object(Bucket="videos", Key=network, Body=b"something else")
    assert read_model(settings, rectangles.export_id)  # its own copy
    with pytest.raises(Refused, match=r"saved_model.pb is missing or damaged"):
        read_model(machine("third"), rectangles.export_id)
    with pytest.raises(UserError, match="there is no such model"):
        read_model(machine("third"), "0" * 16)


def test_tokens_are_those_of_the_database(machine, postgresql, capsys, tmp_path):
    assert serve_token.main(["--database", postgresql, "add", "--name", "board", "--scopes", "read"]) == 0
    made = capsys.readouterr().out.strip()
    tokens = Tokens(open_secret(machine("second"), NAME))
    assert tokens.scopes(made) == ["read"]
    assert tokens.scopes(TOKEN) == ["read", "submit", "admin"]
    assert serve_token.main(["--database", postgresql, "revoke", "board"]) == 0
    assert tokens.scopes(made) is None


def test_what_cannot_be_is_said_in_one_line(machine, postgresql, rectangles_folder, tmp_path, capsys):
    def refused(*words):
        code = serve_run.main(["--data", str(tmp_path / "other"), "--prepare", *words])
        said = capsys.readouterr().err.strip()
        assert code == 2
        assert len(said.splitlines()) == 1
        return said

    assert "take a database of all machines" in refused("--files", "s3://videos/serving")
    assert "must be s3://bucket/prefix" in refused("--files", "gs://videos/serving", "--database", postgresql)
    assert "no such bucket as nowhere" in refused("--files", "s3://nowhere/x", "--database", postgresql)
    assert "only files in a store have presigned addresses" in refused("--presigned")
    without = refused("--database", postgresql, "--model", str(rectangles_folder))
    assert "this deployment has its files in s3://videos/serving; give the same --files" in without
    with pytest.raises(UserError, match="contains no model yet"):
        prepare_model(parsed(data=tmp_path / "x", database=postgresql, files="s3://videos/elsewhere"), None)
    elsewhere = refused(
        "--files", "s3://videos/else", "--database", postgresql, "--model", str(rectangles_folder)
    )
    assert "this deployment has its files in s3://videos/serving" in elsewhere
