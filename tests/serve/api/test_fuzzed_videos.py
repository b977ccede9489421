"""Videos with flipped bytes, cut or joined at random, sent over HTTP to a server that `python -m serve.run` started.

Each is processed or refused: none is an error of the server, and none ends one of its processes.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import clips
import pytest
from commands import parts, start, stop
from servers import choose

from serve.deployment.settings import Settings
from trainers.detection import export

CASES = Path(__file__).parents[4] / "shared" / "cases"
FILES, SEED = 200, int(os.environ.get("FUZZ_SEED", "20"))
LARGEST = 400_000  # bytes of a case


def seeds(folder):
    """Small whole videos of many containers and codecs, and those of the cases, where they are."""
    made = [
        clips.make(folder / "a.mp4", 12, audio="aac"),
        clips.make(folder / "b.mkv", 12, audio="flac"),
        clips.make(folder / "c.ts", 12, audio="mp2"),
        clips.make(folder / "d.webm", 12, codec="libvpx", audio="libopus"),
        clips.make(folder / "e.avi", 12, codec="mpeg4"),
        clips.make(folder / "f.mov", 12, codec="mpeg4", audio="pcm_s16le"),
    ]
    cases = sorted(
        path for path in CASES.glob("V*/*") if path.suffix in (".mp4", ".ts", ".mov", ".mkv", ".webm")
    )
    return [path.read_bytes() for path in (*made, *cases) if path.stat().st_size <= LARGEST]


def flipped(data, rng, others):
    """Some bytes, more often in the header, where sizes and counts are."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 4, 30, 300])):
        place = rng.randrange(min(len(changed), rng.choice([300, 3000, len(changed)])))
        changed[place] = rng.choice([0, 255, rng.randrange(256), changed[place] ^ 1 << rng.randrange(8)])
    return bytes(changed)


def cut(data, rng, others):
    """The end, the beginning or a piece of the middle is missing."""
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    return rng.choice([data[:b], data[a:], data[:a] + data[b:]])


def joined(data, rng, others):
    """Another file, or a part of one, follows or stands in the middle."""
    other, place = rng.choice(others), rng.randrange(len(data))
    return rng.choice([data + other, data + other[len(other) // 2 :], data[:place] + other + data[place:]])


WAYS = (flipped, cut, joined)
PROCESSES = ("ServeReplica:detector:Detector", "ServeReplica:detector:Api", "ProxyActor")


@pytest.fixture
def deployment(rectangles_folder, tmp_path):
    """(process, server) of the command, with Ray."""
    data = tmp_path / "data"
    choose(export.read(rectangles_folder), Settings(data=data), "openvino")
    process, server = start(data, "--model", str(rectangles_folder), "--limit", "free_bytes=0")
    yield process, server
    stop(process)


def running(process):
    """Ids of the deployment's processes."""
    return {name: {each.pid for each in parts(process, name)} for name in PROCESSES}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_fuzzed_video_is_an_error_of_the_server_or_ends_it(deployment, tmp_path):
    process, server = deployment
    before = running(process)
    rng = random.Random(SEED)
    whole = seeds(tmp_path)
    outcomes: Counter[str] = Counter()
    wrong = []
    sent = {}
    for number in range(FILES):
        way = WAYS[number % len(WAYS)]
        data = way(rng.choice(whole), rng, whole)
        path = tmp_path / f"{number}-{way.__name__}.mp4"
        path.write_bytes(data)
        answer = server.submit(path, '{"codec": "h264", "preview": "gif"}')
        if answer.status_code == 202:
            sent[answer.json()["id"]] = path
            if len(sent) % 20 == 0:
                _end(server, sent, outcomes, wrong)
        else:
            outcomes[str(answer.status_code)] += 1
            if answer.status_code not in (413, 422):
                wrong.append((path.name, answer.status_code, answer.text))
    _end(server, sent, outcomes, wrong)
    print(dict(outcomes))
    assert not wrong
    assert outcomes["done"] > FILES // 10, "many are whole enough to be processed"
    assert running(process) == before, "none was replaced"
    assert "serve_job_faults_total{" not in server.call("GET", "/metrics").text, "none was tried twice"
    assert server.call("GET", "/readyz").status_code == 200


def _end(server, sent, outcomes, wrong):
    """Wait for the jobs, and note those that were not done for a fault of the server."""
    for job_id, path in sent.items():
        job = server.ended(job_id, 600)
        outcomes[job["state"]] += 1
        if job["state"] != "done" and "server error" in job["error"]:
            wrong.append((path.name, job["error"]))
        for what in ("video", "preview", "detections", "coco", "manifest", "source"):
            status = server.call("GET", f"/v1/jobs/{job_id}/{what}").status_code
            if status != 200 and (job["state"] == "done" or status >= 500):
                wrong.append((path.name, what, status))
        server.call("DELETE", f"/v1/jobs/{job_id}")
    sent.clear()
