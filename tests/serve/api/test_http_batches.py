"""Many videos in one request, and webhooks, over HTTP."""

from __future__ import annotations

import shutil
from pathlib import Path

import clips
import pytest
from problems import is_problem
from receiver import receiving
from servers import READER, TOKEN, Server, wait_for

from serve.client import Client
from serve.jobs.options import Options
from serve.storage.opening import open_secret
from serve.webhooks.signing import NAME, secret_of, verify


@pytest.fixture(scope="module")
def uris(server, tmp_path_factory):
    """Three videos in the allowed folder."""
    clip = clips.make(tmp_path_factory.mktemp("clips") / "clip.mp4", 10)
    paths = [server.settings.file_roots[0] / f"{name}.mp4" for name in "abc"]
    for path in paths:
        shutil.copy(clip, path)
    return [f"file://{path}" for path in paths]


def submit(server, uris, **more):
    return server.call("POST", "/v1/batches", json={"uris": uris, "options": {"annotate": False}, **more})


def done(server, batch_id):
    def batch():
        found = server.call("GET", f"/v1/batches/{batch_id}").json()
        return found if found["state"] == "done" else None

    return wait_for(batch)


def ended_as_cancelled(server):
    """The jobs that /metrics counts as cancelled."""
    lines = server.call("GET", "/metrics").text.splitlines()
    return sum(
        float(line.split()[-1])
        for line in lines
        if line.startswith('serve_jobs_ended_total{state="cancelled"}')
    )


def test_a_batch_is_done_when_all_its_jobs_have_ended(server, uris):
    answer = submit(server, uris)
    assert answer.status_code == 202, answer.text
    batch = answer.json()
    assert answer.headers["Location"] == f"/v1/batches/{batch['id']}"
    assert (batch["state"], batch["jobs_total"]) == ("running", 3)
    ended = done(server, batch["id"])
    assert ended["jobs"]["done"] == 3
    assert (ended["frames"], ended["objects"], ended["progress"]) == (30, 30, 1.0)
    manifest = server.call("GET", f"/v1/batches/{batch['id']}/manifest").json()
    assert [each["source"] for each in manifest["results"]] == uris
    files = manifest["results"][0]["files"]
    assert len(server.call("GET", files["detections"]).text.splitlines()) == 10
    jobs = server.call("GET", f"/v1/jobs?batch={batch['id']}").json()["jobs"]
    assert {job["id"] for job in jobs} == {each["job"] for each in manifest["results"]}
    assert server.call("GET", "/v1/batches?limit=1").json()["batches"][0]["id"] == batch["id"]


def test_a_batch_is_accepted_whole_or_not_at_all(server, uris):
    def jobs():
        return {job["id"] for job in server.call("GET", "/v1/jobs?limit=1000").json()["jobs"]}

    before = jobs()
    is_problem(submit(server, [*uris, "file:///etc/passwd"]), 422, "no such file in the folders")
    is_problem(submit(server, [*uris, "s3://elsewhere/a.mp4"]), 422, "does not allow that s3:// URI")
    is_problem(submit(server, [uris[0]] * 101), 429, "the queue is full")
    is_problem(submit(server, []), 422, "uris")
    is_problem(submit(server, [uris[0]] * 1001), 422, "uris")
    assert jobs() == before


def test_the_same_key_gives_the_same_batch(server, uris):
    headers = {"Idempotency-Key": "batch-once"}
    request = {"uris": uris[:1], "options": {"annotate": False}}
    first, again = (server.call("POST", "/v1/batches", json=request, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    other = server.call("POST", "/v1/batches", json={"uris": uris}, headers=headers)
    is_problem(other, 409, "already used")


def test_a_batch_is_cancelled_and_removed_with_its_jobs(server, uris, tmp_path):
    long = server.settings.file_roots[0] / "long.mp4"
    clips.make(long, 1400)
    batch = submit(server, [f"file://{long}", *uris[:1]], options={}).json()
    is_problem(server.call("GET", f"/v1/batches/{batch['id']}/manifest"), 409, "not done")
    before = ended_as_cancelled(server)
    cancelled = server.call("DELETE", f"/v1/batches/{batch['id']}")
    assert cancelled.status_code == 202
    assert cancelled.json()["state"] == "done"
    assert cancelled.json()["jobs"]["cancelled"] >= 1
    assert ended_as_cancelled(server) == before + cancelled.json()["jobs"]["cancelled"]
    assert server.call("DELETE", f"/v1/batches/{batch['id']}").status_code == 204
    assert server.call("GET", f"/v1/jobs?batch={batch['id']}").json()["jobs"] == []
    is_problem(server.call("GET", f"/v1/batches/{batch['id']}"), 404, "no such batch")


def test_the_webhook_of_a_job_hears_of_its_end(server, uris, tmp_path):
    (server.settings.file_roots[0] / "noise.mp4").write_bytes(b"noise" * 1000)
    noise = f"file://{server.settings.file_roots[0]}/noise.mp4"
    with receiving([503]) as receiver:
        for uri in (uris[0], noise):
            job = server.call("POST", "/v1/jobs", json={"uri": uri, "webhook": receiver.url}).json()
            server.ended(job["id"])
        wait_for(lambda: len({event["type"] for event in receiver.events()}) == 2)
        deliveries = server.call("GET", f"/v1/jobs/{job['id']}/deliveries").json()["deliveries"]
    assert {event["type"] for event in receiver.events()} == {"job.done", "job.failed"}
    headers, body = receiver.messages[-1]
    verify(secret_of(open_secret(server.settings, NAME)), headers, body)
    assert "not a readable video" in next(
        event["data"]["error"] for event in receiver.events() if event["type"] == "job.failed"
    )
    assert [each["event"] for each in deliveries] == ["job.failed"]
    assert deliveries[0]["host"] == "localhost"
    assert "to=me" not in str(deliveries)


def test_the_client_submits_a_batch_and_names_a_webhook(server, uris):
    client = Client(server.url, TOKEN)
    with receiving([]) as receiver:
        batch = client.submit_batch(uris, Options(annotate=False), webhook=receiver.url)
        video = Path(uris[0].removeprefix("file://"))
        job = client.submit(video, Options(annotate=False), webhook=receiver.url)
        wait_for(lambda: len(receiver.messages) == 2)
    assert {event["data"]["id"] for event in receiver.events()} == {batch["id"], job["id"]}
    assert client.batch(batch["id"])["state"] == "done"


def test_a_webhook_that_may_not_be_called_is_refused(server, uris):
    for url, says in (("https://127.0.0.1/", "private address"), ("http://example.org/", "must be https")):
        is_problem(submit(server, uris, webhook=url), 422, says)
        is_problem(server.call("POST", "/v1/jobs", json={"uri": uris[0], "webhook": url}), 422, says)


def test_a_read_token_shows_batches_only(server, uris):
    reader = Server(server.url, server.settings, READER)
    assert submit(reader, uris).status_code == 403
    assert reader.call("GET", "/v1/batches").status_code == 200
