"""A client that openapi-python-client generates from the OpenAPI document, against the running server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import clips
import pytest
from servers import TOKEN

# beside this interpreter, as `make setup` installs it, or on the PATH
PLACES = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
GENERATOR = shutil.which("openapi-python-client", path=PLACES)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(GENERATOR is None, reason="openapi-python-client is not installed; make setup"),
]

# run by the generator's own interpreter, which has what its clients import
USES = """
import json, sys, time
from client import AuthenticatedClient
from client.api.batches import get_batch, get_batch_manifest, submit_batch
from client.api.jobs import delete_job, get_job, list_jobs, submit_job
from client.api.model import get_model
from client.api.results import get_detections, get_video
from client.models import BatchRequest, JobRequest, SubmitJobFilesBody
from client.types import File

url, token, path = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token)
with open(path, "rb") as video:
    sent = SubmitJobFilesBody(file=File(payload=video, file_name="clip.mp4"), options='{"annotate": true}')
    job = submit_job.sync(client=client, body=sent)
batch = submit_batch.sync(client=client, body=BatchRequest(uris=[f"file://{path}"] * 2))
for _ in range(600):
    if get_job.sync(job.id, client=client).state == "done" and get_batch.sync(batch.id, client=client).state == "done":
        break
    time.sleep(0.1)
print(json.dumps({
    "frames": get_job.sync(job.id, client=client).frames,
    "lines": len(get_detections.sync_detailed(job.id, client=client).content.splitlines()),
    "video": len(get_video.sync_detailed(job.id, client=client).content),
    "batch": [result.state for result in get_batch_manifest.sync(batch.id, client=client).results],
    "listed": job.id in [each.id for each in list_jobs.sync(client=client).jobs],
    "model": get_model.sync(client=client).model,
    "missing": get_job.sync("nothing", client=client).detail,
    "deleted": delete_job.sync_detailed(job.id, client=client).status_code,
}))
"""


def test_a_generated_client_submits_follows_and_fetches(server, rectangles, tmp_path):
    assert GENERATOR is not None
    clip = clips.make(server.settings.file_roots[0] / "generated.mp4", 10)
    document, config = tmp_path / "openapi.json", tmp_path / "config.yaml"
    document.write_bytes(server.call("GET", "/openapi.json").content)
    # without hooks, which would look for a formatter
    config.write_text("package_name_override: client\npost_hooks: []\n")
    words = [
        "generate",
        "--path",
        document,
        "--meta",
        "none",
        "--config",
        config,
        "--output-path",
        tmp_path / "client",
    ]
    subprocess.run([GENERATOR, *words], check=True, capture_output=True)
    interpreter = Path(GENERATOR).with_name("python")
    done = subprocess.run(
        [interpreter, "-c", USES, server.url, TOKEN, clip],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen.pop("video") > 1000
    assert seen == {
        "frames": 10, "lines": 10, "batch": ["done", "done"], "listed": True, "model": rectangles.export_id,
        "missing": "there is no such job", "deleted": 204,
    }  # fmt: skip
