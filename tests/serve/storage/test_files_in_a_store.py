"""A deployment whose machines share no disk: files in S3, jobs in PostgreSQL, and a folder of its own for each."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import clips
import pytest
import requests
from servers import TOKEN, prepare, served, wait_for

from serve import run as serve_run
from serve import token as serve_token
from serve.api import files as sent_files
from serve.deployment.preparing import prepare_model
from serve.deployment.settings import Settings, parsed
from serve.errors import Refused
from serve.exports.model_folder import read_model
from serve.jobs.job import Job
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.jobs.store import JobStore
from serve.storage import job_files
from serve.storage.opening import open_database, open_files_store, open_secret
from serve.storage.tokens import NAME, Tokens
from serve.video.segments import Segment
from trainers.errors import UserError

pytestmark = pytest.mark.slow
FRAMES = 60


@pytest.fixture
def machine(bucket, postgresql, tmp_path, rectangles_folder):
    """The settings of a machine, by its name: its folder is its own."""
    open_files_store.cache_clear()  # of the bucket of the test before

    def settings(name: str) -> Settings:
        return Settings(
            data=tmp_path / name, database=postgresql, files="s3://videos/serving", limits=Limits(free_bytes=0),
            threads=1, segment_frames=12, jobs_at_once=2,
        )  # fmt: skip

    prepare(settings("first"), rectangles_folder)
    yield settings
    open_files_store.cache_clear()


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "clip.mp4", FRAMES)


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
    real = job_files.StoredJobFiles.keep_segment
    monkeypatch.setattr(
        job_files.StoredJobFiles, "keep_segment", lambda *words: (made.append(words[2]), real(*words))
    )
    with served(machine("second")) as server:
        assert server.ended(job)["state"] == "done"
        assert frames(server, job) == list(range(600))
    assert made == list(range(len(there), 600 // 12))


def test_a_job_waits_while_the_store_is_away(machine, clip, monkeypatch):
    left = [2]
    real = job_files.StoredJobFiles.keep_segment

    def sometimes(self, *words):
        left[0] -= 1
        if left[0] == 0:
            raise Refused(503, "the store of files: S3 does not answer")
        real(self, *words)

    monkeypatch.setattr(job_files.StoredJobFiles, "keep_segment", sometimes)
    with served(machine("first")) as server:
        job = server.submit(clip).json()["id"]
        assert server.ended(job)["state"] == "done"
        assert frames(server, job) == list(range(FRAMES))
    assert left[0] < 0


def test_a_process_that_has_lost_its_job_changes_nothing_of_the_results(machine, clip):
    settings = machine("first")
    with served(settings) as server:
        job_id = server.submit(clip).json()["id"]
        server.ended(job_id)
        done = server.call("GET", f"/v1/jobs/{job_id}/detections").content
        files = job_files.StoredJobFiles(machine("late").jobs_folder, open_files_store(settings.files))
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
        files = job_files.StoredJobFiles(tmp_path / f"machine-{claim}", store)
        work = files.folder("a-job") / "work"
        work.mkdir(parents=True)
        (work / "000000.jsonl").write_text(f"lines of {claim}")
        (work / "000000.json").write_text(json.dumps(asdict(Segment(0, 0, 12, "0", "1", 96, 128))))
        files.keep_segment(replace(job, claim=claim), 0, None)
    files = job_files.StoredJobFiles(tmp_path / "machine-3", store)
    (files.folder("a-job") / "work").mkdir(parents=True)
    files.bring(replace(job, claim=3), None, lambda: None)
    assert (files.folder("a-job") / "work" / "000000.jsonl").read_text() == "lines of 1"
    assert files.segments(job) == 1


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
    files = job_files.StoredJobFiles(machine("first").jobs_folder, open_files_store("s3://videos/serving"))
    monkeypatch.setattr(job_files, "SWEEP_SECONDS", 0.0)
    files.sweep(lambda job_id: False, lambda job_id: False)
    assert keys(bucket) == {"nobody/input"}
    monkeypatch.setattr(job_files, "LEFT_SECONDS", -1.0)
    files.sweep(lambda job_id: False, lambda job_id: False)
    assert keys(bucket) == set()


@pytest.mark.parametrize("place", ["disk", "store"])
def test_parts_of_a_result_are_the_same_from_disk_and_store(
    place, request, tmp_path, clip, rectangles_folder
):
    if place == "store":
        settings = request.getfixturevalue("machine")("first")
    else:
        settings = Settings(data=tmp_path / "data", limits=Limits(free_bytes=0), threads=1)
        prepare(settings, rectangles_folder)
    with served(settings) as server:
        job = server.submit(clip).json()["id"]
        server.ended(job)
        path = f"/v1/jobs/{job}/video"
        whole = server.call("GET", path)
        content, size, tag = whole.content, len(whole.content), whole.headers["ETag"]
        assert whole.headers["Accept-Ranges"] == "bytes"
        head = server.call("HEAD", path)
        assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(size), b"")
        for asked, part in (
            ("bytes=0-99", content[:100]), ("bytes=100-", content[100:]), ("bytes=-7", content[-7:]),
            (f"bytes=5-{size + 100}", content[5:]),
        ):  # fmt: skip
            found = server.call("GET", path, headers={"Range": asked})
            assert (found.status_code, found.content) == (206, part)
            assert found.headers["Content-Length"] == str(len(part))
            assert found.headers["Content-Range"].endswith(f"/{size}")
        beyond = server.call("GET", path, headers={"Range": f"bytes={size}-"})
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
        assert server.call("GET", path, headers={"Range": "lines=1-2"}).content == content
        changed = server.call("GET", path, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
        assert (changed.status_code, changed.content) == (200, content)
        assert server.call("GET", path, headers={"If-None-Match": tag}).status_code == 304


def test_a_large_result_comes_from_the_store_itself_where_that_is_allowed(machine, clip, monkeypatch):
    monkeypatch.setattr(sent_files, "PRESIGNED_BYTES", 1000)
    with served(machine("first").model_copy(update={"presigned": True})) as server:
        job = server.submit(clip).json()["id"]
        server.ended(job)
        answer = server.call("GET", f"/v1/jobs/{job}/video", allow_redirects=False)
        assert answer.status_code == 307
        assert "Signature=" in answer.headers["Location"]
        plain = requests.get(answer.headers["Location"], timeout=10)  # without a token
        assert plain.content[:4] == b"\x1aE\xdf\xa3"  # WebM
        assert server.call("GET", f"/v1/jobs/{job}/video").content == plain.content
        assert server.call("GET", f"/v1/jobs/{job}/manifest", allow_redirects=False).status_code == 200


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
