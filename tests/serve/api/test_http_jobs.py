"""Videos over HTTP: from the upload to every result."""

from __future__ import annotations

import json
import shutil

import clips
import pytest
from problems import is_problem
from servers import READER, Server, wait_for

from serve.client import Client
from serve.detect import main
from serve.jobs.options import Options


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return clips.make(tmp_path_factory.mktemp("clips") / "clip.mp4", 40, audio="aac")


@pytest.fixture(scope="module")
def done(server, clip):
    answer = server.submit(clip, json.dumps({"preview": "gif", "track": True}))
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert job["state"] == "queued"
    assert job["video"]["frames"] == 40
    return server.ended(job["id"])


def test_a_submitted_video_has_all_its_results(server, done, tmp_path):
    assert done["state"] == "done", done["error"]
    assert done["frames"] == done["frames_total"] == 40
    assert done["progress"] == 1.0
    assert done["objects"] == 40
    lines = server.call("GET", f"/v1/jobs/{done['id']}/detections")
    assert lines.headers["content-type"].startswith("application/jsonl")
    assert [json.loads(line)["frame"] for line in lines.text.splitlines()] == list(range(40))
    video = server.call("GET", f"/v1/jobs/{done['id']}/video")
    assert video.headers["content-type"] == "video/webm"
    (tmp_path / "video.webm").write_bytes(video.content)
    assert len(clips.facts_of(tmp_path / "video.webm")["times"]) == 40
    assert len(server.call("GET", f"/v1/jobs/{done['id']}/coco").json()) == 40
    assert server.call("GET", f"/v1/jobs/{done['id']}/preview").headers["content-type"] == "image/gif"
    manifest = server.call("GET", f"/v1/jobs/{done['id']}/manifest").json()
    assert manifest["model"]["export_id"] == done["model"]
    assert manifest["job"] == done["id"]


@pytest.mark.parametrize("what", ["video", "source"])
def test_range_requests_of_a_video_are_supported(server, done, what):
    whole = server.call("GET", f"/v1/jobs/{done['id']}/{what}").content
    part = server.call("GET", f"/v1/jobs/{done['id']}/{what}", headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == whole[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    beyond = server.call("GET", f"/v1/jobs/{done['id']}/{what}", headers={"Range": "bytes=99999999-"})
    is_problem(beyond, 416, f"the file has {len(whole)} bytes")
    assert beyond.headers["content-range"] == f"bytes */{len(whole)}"


@pytest.mark.parametrize("wanted", ["bytes=abc", "lines=1-2", "bytes=", "bytes=9-2", "nonsense"])
def test_a_range_that_is_not_understood_is_ignored(server, done, wanted):
    answer = server.call("GET", f"/v1/jobs/{done['id']}/manifest", headers={"Range": wanted})
    assert answer.status_code == 200
    assert answer.json()["job"] == done["id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("GET", "/v1/images:detect", "POST"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_refused_with_those_it_has(server, method, path, allowed):
    answer = server.call(method, path)
    is_problem(answer, 405)
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("cursor", ["garbage", "nan~x", "inf~x", "1e400~x", "1.5~", "~", "1~a%00", "1~a b"])
def test_a_cursor_that_the_server_did_not_give_is_refused(server, cursor):
    for kind in ("jobs", "batches"):
        is_problem(server.call("GET", f"/v1/{kind}?cursor={cursor}"), 422, "not one that this server gave")


def test_a_result_that_was_not_requested_is_not_found(server, clip):
    job = server.ended(server.submit(clip, '{"annotate": false}').json()["id"])
    answer = server.call("GET", f"/v1/jobs/{job['id']}/video")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_progress_is_sent_as_events_until_the_end(server, clip):
    job = server.submit(clip).json()
    with server.call("GET", f"/v1/jobs/{job['id']}/events", stream=True) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith(b"data: ")]
    assert events[-1]["state"] == "done"
    frames = [event["frames"] for event in events]
    assert frames == sorted(frames)


def test_head_gives_the_headers_of_get(server, done):
    for path in (f"/v1/jobs/{done['id']}/video", f"/v1/jobs/{done['id']}", "/healthz"):
        head, whole = server.call("HEAD", path), server.call("GET", path)
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert int(head.headers["content-length"]) == len(whole.content)


@pytest.mark.parametrize("what", ["video", "source"])
def test_a_result_that_the_client_has_is_not_sent_again(server, done, what):
    path = f"/v1/jobs/{done['id']}/{what}"
    tag = server.call("GET", path).headers["ETag"]
    again = server.call("GET", path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert server.call("GET", path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_events_have_ids_and_resume_after_the_last(server, done):
    path = f"/v1/jobs/{done['id']}/events"
    lines = server.call("GET", path).text.splitlines()
    name = lines[0].removeprefix("id: ")
    assert lines[1] == "event: done"
    again = server.call("GET", path, headers={"Last-Event-ID": name})
    assert (again.status_code, again.text) == (204, ""), "a browser does not connect again"


def test_pages_of_jobs_neither_repeat_nor_leave_out_any(server, done, clip):
    for _ in range(3):
        server.submit(clip, '{"annotate": false}')
    every = [job["id"] for job in server.call("GET", "/v1/jobs").json()["jobs"]]
    found, cursor = [], ""
    while cursor is not None:
        page = server.call("GET", f"/v1/jobs?limit=2{cursor and '&cursor=' + cursor}").json()
        found += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
    assert found == every


def test_operations_have_names_for_a_client(server):
    document = server.call("GET", "/openapi.json").json()
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
    assert {"submit_job", "get_job", "get_video", "detect_images"} <= set(names)
    assert all("head" not in path for path in document["paths"].values())


def test_the_same_key_gives_the_same_job(server, clip):
    headers = {"Idempotency-Key": "once"}
    first = server.submit(clip, headers=headers)
    again = server.submit(clip, headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    other = server.submit(clip, '{"every": 2}', headers=headers)
    assert other.status_code == 409


def test_jobs_are_listed_newest_first_page_by_page(server, clip):
    ids = [server.submit(clip, '{"annotate": false}').json()["id"] for _ in range(3)]
    jobs = server.call("GET", "/v1/jobs?limit=2").json()["jobs"]
    assert [job["id"] for job in jobs] == [ids[2], ids[1]]
    rest = server.call("GET", f"/v1/jobs?limit=1&before={jobs[-1]['created']}").json()["jobs"]
    assert [job["id"] for job in rest] == [ids[0]]
    for job_id in ids:
        server.ended(job_id)
    assert all(job["state"] == "done" for job in server.call("GET", "/v1/jobs?state=done").json()["jobs"])


def test_a_running_job_is_cancelled_promptly_and_its_files_are_removed(server, tmp_path):
    long = clips.make(tmp_path / "long.mp4", 1400)
    job = server.submit(long).json()
    wait_for(lambda: server.job(job["id"])["frames"] > 0)
    answer = server.call("DELETE", f"/v1/jobs/{job['id']}")
    assert answer.status_code == 202
    assert answer.json()["state"] == "cancelled"
    folder = server.settings.jobs_folder / job["id"]
    wait_for(lambda: [path.name for path in folder.iterdir()] == ["lock"], 60)
    assert server.job(job["id"])["state"] == "cancelled"
    assert server.call("GET", f"/v1/jobs/{job['id']}/detections").status_code == 409


def test_a_finished_job_is_removed(server, clip):
    job = server.ended(server.submit(clip).json()["id"])
    assert server.call("DELETE", f"/v1/jobs/{job['id']}").status_code == 204
    assert server.call("GET", f"/v1/jobs/{job['id']}").status_code == 404
    assert not (server.settings.jobs_folder / job["id"]).exists()


def test_a_failed_job_is_tried_again_on_request(server, done, tmp_path):
    video = server.settings.file_roots[0] / "later.mp4"
    video.write_bytes(b"noise" * 1000)
    job = server.call("POST", "/v1/jobs", json={"uri": f"file://{video}"}).json()
    assert server.ended(job["id"])["state"] == "failed"
    (server.settings.jobs_folder / job["id"] / "input").unlink()
    clips.make(video, 5)
    answer = server.call("POST", f"/v1/jobs/{job['id']}:retry")
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (answer.json()["state"], answer.json()["error"]) == ("queued", None)
    assert server.ended(job["id"])["state"] == "done"
    is_problem(server.call("POST", f"/v1/jobs/{done['id']}:retry"), 409, "only a failed job")
    is_problem(server.call("POST", "/v1/jobs/gone:retry"), 404)


def test_a_ticket_is_valid_for_one_job_only(server, done, clip):
    import requests

    other = server.submit(clip, '{"annotate": false}').json()
    path = f"{server.url}/v1/jobs/{done['id']}/video"
    assert requests.get(f"{path}?ticket={done['ticket']}", timeout=60).status_code == 200
    assert requests.get(f"{path}?ticket={other['ticket']}", timeout=60).status_code == 401
    assert requests.get(f"{path}?ticket={done['ticket'][:-1]}x", timeout=60).status_code == 401
    late = "1" + done["ticket"][10:]
    assert requests.get(f"{path}?ticket={late}", timeout=60).status_code == 401
    assert (
        requests.delete(f"{server.url}/v1/jobs/{done['id']}?ticket={done['ticket']}", timeout=60).status_code
        == 401
    )
    server.ended(other["id"])


def test_the_original_video_can_be_downloaded(server, done, clip):
    assert server.call("GET", f"/v1/jobs/{done['id']}/source").content == clip.read_bytes()


def test_a_video_on_the_server_is_given_by_uri(server, clip):
    allowed = server.settings.file_roots[0]
    shutil.copy(clip, allowed / "a clip.mp4")
    answer = server.call("POST", "/v1/jobs", json={"uri": f"file://{allowed}/a%20clip.mp4"})
    assert answer.status_code == 202, answer.text
    job = server.ended(answer.json()["id"])
    assert job["state"] == "done", job["error"]
    assert job["frames"] == 40


def test_the_command_sends_a_video_and_fetches_its_results(server, clip, tmp_path):
    out, lines = tmp_path / "out.webm", tmp_path / "found.jsonl"
    words = [
        str(clip),
        "--url",
        server.url,
        "--token",
        "token-for-tests",
        "--out",
        str(out),
        "--detections",
        str(lines),
    ]
    assert main(words) == 0
    assert len(clips.facts_of(out)["times"]) == 40
    assert len(lines.read_text().splitlines()) == 40


def test_the_command_prints_a_refusal_in_one_line(server, tmp_path, capsys):
    (tmp_path / "noise.mp4").write_bytes(b"noise" * 1000)
    words = [str(tmp_path / "noise.mp4"), "--url", server.url, "--out", str(tmp_path / "out.webm")]
    assert main([*words, "--token", "token-for-tests"]) == 2
    assert "not a readable video" in capsys.readouterr().err
    assert main([*words, "--token", "wrong"]) == 2
    assert "unknown token" in capsys.readouterr().err
    assert main([*words[:2], "http://127.0.0.1:9", *words[3:], "--token", "x"]) == 2
    assert "is the server running?" in capsys.readouterr().err


def test_a_read_token_allows_reading_only(server, done, clip):
    reader = Server(server.url, server.settings, READER)
    assert reader.call("GET", f"/v1/jobs/{done['id']}").status_code == 200
    assert reader.submit(clip).status_code == 403
    assert reader.call("DELETE", f"/v1/jobs/{done['id']}").status_code == 403
    assert reader.call("POST", "/v1/model:promote", json={"model": "x"}).status_code == 403


def test_the_client_follows_a_job(server, clip):
    client = Client(server.url, "token-for-tests")
    sent = []
    job = client.submit(clip, Options(annotate=False), sent=lambda done, of: sent.append((done, of)))
    states = [each["state"] for each in client.events(job["id"])]
    assert states[-1] == "done"
    assert sent[-1][0] <= sent[-1][1]
    client.delete(job["id"])
