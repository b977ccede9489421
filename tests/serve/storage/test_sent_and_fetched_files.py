"""Videos and results over HTTP, from a disk or from a store: parts of them, and past the server where they are large."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlparse

import pytest
import requests
from problems import is_problem
from servers import prepare, served

from serve.api import files as sent_files
from serve.deployment.settings import Settings
from serve.jobs.limits import Limits
from serve.storage.job_files import JobFiles
from serve.storage.opening import open_files

pytestmark = pytest.mark.slow
FRAMES = 60


def frames(server, job_id):
    lines = server.call("GET", f"/v1/jobs/{job_id}/detections").text.splitlines()
    return [json.loads(line)["frame"] for line in lines]


def test_a_large_video_is_sent_past_the_server(machine, clip, bucket):
    with served(machine("first")) as server:
        wanted = {"name": "../my drive.mp4", "bytes": clip.stat().st_size}
        place = server.call("POST", "/v1/uploads", json=wanted).json()
        assert place["uri"].startswith("s3://videos/serving/uploads/")
        early = server.call("POST", "/v1/jobs", json={"uri": place["uri"]})
        assert (early.status_code, "nothing was sent there" in early.text) == (422, True)
        sent = requests.put(
            place["url"], clip.read_bytes(), headers=place["headers"], timeout=10
        )  # without a token
        assert sent.status_code == 200
        job = server.call("POST", "/v1/jobs", json={"uri": place["uri"]}).json()
        assert (job["name"], job["source"]) == (".._my_drive.mp4", "upload")
        assert server.ended(job["id"])["state"] == "done"
        assert frames(server, job["id"]) == list(range(FRAMES))
        assert server.call("GET", f"/v1/jobs/{job['id']}/source").content == clip.read_bytes()


def test_a_server_with_a_disk_of_its_own_takes_videos_in_requests_alone(server):
    is_problem(
        server.call("POST", "/v1/uploads", json={"name": "a.mp4", "bytes": 9}),
        409,
        "send the video to /v1/jobs",
    )


def test_an_address_for_a_video_is_for_its_size_alone_and_of_none_that_is_too_large(machine, bucket):
    with served(machine("first")) as server:
        most = Limits().upload_bytes
        place = server.call("POST", "/v1/uploads", json={"name": "a.mp4", "bytes": most}).json()
        signed = parse_qs(urlparse(place["url"]).query)
        assert signed["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"], "of the older kind, new buckets take none"
        assert signed["X-Amz-SignedHeaders"] == ["content-length;content-type;host"]
        refused = server.call("POST", "/v1/uploads", json={"name": "a.mp4", "bytes": most + 1})
        is_problem(refused, 413, f"the video has {most + 1} bytes; the limit is {most} bytes")
        is_problem(server.call("POST", "/v1/uploads", json={"name": "a.mp4"}), 422, "bytes: Field required")


def test_a_cancelled_job_leaves_its_lock_alone(tmp_path):
    files = JobFiles(tmp_path)
    (files.folder("a-job") / "work").mkdir(parents=True)
    for name in ("input", ".input.partial", "lock", "work/000000.json"):
        (files.folder("a-job") / name).write_text("x")
    files.clear("a-job")
    assert [path.name for path in files.folder("a-job").rglob("*")] == ["lock"]
    files.clear("another")


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
        open_files(settings).remove(job)  # as another request may, after this one has read the job's state
        is_problem(server.call("GET", path), 404, "results were removed")


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


@pytest.mark.parametrize("what", ["video", "source"])
def test_a_large_result_comes_through_the_server_for_head_and_for_the_page(machine, clip, monkeypatch, what):
    monkeypatch.setattr(sent_files, "PRESIGNED_BYTES", 1000)
    with served(machine("first").model_copy(update={"presigned": True})) as server:
        job = server.submit(clip).json()["id"]
        ticket = server.ended(job)["ticket"]
        path = f"/v1/jobs/{job}/{what}"
        content = server.call("GET", path).content
        head = server.call("HEAD", path, allow_redirects=False)
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(content)))
        assert head.headers["ETag"]
        page = requests.get(f"{server.url}{path}?ticket={ticket}", allow_redirects=False, timeout=10)
        assert (page.status_code, page.content) == (200, content)
        part = requests.get(
            f"{server.url}{path}?ticket={ticket}",
            headers={"Range": "bytes=5-9"},
            allow_redirects=False,
            timeout=10,
        )
        assert (part.status_code, part.content) == (206, content[5:10])
        assert server.call("GET", path, allow_redirects=False).status_code == 307
