"""Results copied to S3, below the prefixes that the server allows (`serve.run --output-prefix`)."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.storage import s3

MANIFEST = "manifest.json"
UPLOAD_SECONDS = 60.0  # without an answer
TYPES = {".jsonl": "application/jsonl", ".webp": "image/webp", ".webm": "video/webm"}


def check(uri: str, settings: Settings) -> None:
    """Raise Refused (422) unless the URI is below an allowed prefix."""
    if not uri.startswith("s3://"):
        raise Refused(422, "output_uri must be s3://bucket/prefix")
    if not s3.allowed(uri.rstrip("/") + "/", settings.output_prefixes):
        raise Refused(422, "this server does not allow that output_uri (--output-prefix)")


def send(folder: Path, uri: str, settings: Settings, alive: Callable[[], None] = lambda: None) -> None:
    """Copy the files of a job's results to `uri`/NAME, the manifest last: where it is, all of them are.

    alive: called whenever a part was sent. Raises Refused: 503 when it may work later; it is then tried again. So is
    what S3 does not permit, because an operator can change that, and not the job.
    """
    check(uri, settings)
    bucket, prefix = s3.bucket_and_key(uri.rstrip("/"))
    client = s3.client(UPLOAD_SECONDS)
    files = sorted(folder.iterdir(), key=lambda path: (path.name == MANIFEST, path.name))
    for path in files:
        kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        with s3.errors(uri, "be written", refusals=503):
            client.upload_file(
                str(path), bucket, f"{prefix}/{path.name}", ExtraArgs={"ContentType": kind},
                Callback=lambda count: alive(),
            )  # fmt: skip


def send_json(value: Any, uri: str, settings: Settings) -> None:
    """Write `value` as JSON to the object `uri`. Raises Refused (503) when it may work later."""
    check(uri, settings)
    bucket, key = s3.bucket_and_key(uri)
    content = json.dumps(value, indent=2, ensure_ascii=False).encode()
    with s3.errors(uri, "be written", refusals=503):
        s3.client(UPLOAD_SECONDS).put_object(
            Bucket=bucket, Key=key, Body=content, ContentType="application/json"
        )
