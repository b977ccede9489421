"""Downloads one object of S3: goes on where a broken connection left off, and is not content before it is the object."""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, ResponseStreamingError
from urllib3.exceptions import HTTPError

from trainers.errors import UserError

_CHUNK = 1 << 20  # bytes
_ATTEMPTS = 5  # without a byte more, or with other bytes than S3 says it has
_MD5 = re.compile(r"[0-9a-f]{32}")  # the ETag of an object that was uploaded in one piece


@dataclass(frozen=True)
class S3Object:
    """An object as it was listed: key, bytes, and the ETag that changes with its contents."""

    key: str
    size: int
    etag: str

    def partial(self, path: Path) -> Path:
        """Where it waits beside `path` while it is not whole."""
        return path.with_name(f".{path.name[:100]}.{self.etag.replace('/', '_')}.partial")


def download(client: Any, bucket: str, entry: S3Object, path: Path) -> S3Object:
    """Put the object at `path`, whole or not at all; returns what was fetched, which may be newer than `entry`.

    What arrived before a break or a kill waits beside `path`, under the ETag's name, for the next attempt.
    Raises UserError when it cannot be had; ClientError when S3 refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while failures < _ATTEMPTS:
        partial = entry.partial(path)
        before = _size(partial)
        broken = "it ended too early"
        encrypted = False
        try:
            encrypted = _go_on(client, bucket, entry, partial)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 412:
                raise
            partial.unlink(missing_ok=True)  # of an object that is no more
            head = client.head_object(Bucket=bucket, Key=entry.key)
            entry = S3Object(entry.key, head["ContentLength"], head["ETag"].strip('"'))
            failures += 1
            continue
        except (HTTPClientError, IncompleteReadError, ResponseStreamingError, HTTPError) as error:
            broken = " ".join(str(error).split())
        if before <= _size(partial) < entry.size:
            failures = 0 if _size(partial) > before else failures + 1
            if failures == _ATTEMPTS:
                where = f"s3://{bucket}/{entry.key}"
                raise UserError(f"{where}: the connection keeps breaking ({broken}); run it again to go on")
            time.sleep(min(0.1 * 2**failures, 5))
        elif _is_whole(partial, entry, encrypted):
            partial.replace(path)
            return entry
        else:
            partial.unlink()
            failures += 1
    raise UserError(
        f"s3://{bucket}/{entry.key}: it changes, or arrives corrupt, each time; run it again later"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _go_on(client: Any, bucket: str, entry: S3Object, partial: Path) -> bool:
    """Fetch what is missing; returns whether the object's ETag is no MD5 since it is encrypted with a key."""
    have = _size(partial)
    if have >= entry.size and entry.size:
        return False
    there = {"Range": f"bytes={have}-"} if have else {}
    answer = client.get_object(Bucket=bucket, Key=entry.key, IfMatch=f'"{entry.etag}"', **there)
    with answer["Body"] as body, partial.open("ab") as file:
        for chunk in iter(lambda: body.read(_CHUNK), b""):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return bool(
        answer.get("ServerSideEncryption", "AES256") != "AES256" or answer.get("SSECustomerAlgorithm")
    )


def _is_whole(partial: Path, entry: S3Object, encrypted: bool) -> bool:
    if partial.stat().st_size != entry.size:
        return False
    if encrypted or not _MD5.fullmatch(entry.etag):
        return True  # its size, and S3's own checksum of what it sent, are all there is
    with partial.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == entry.etag
