"""Downloads one S3 object: resumes after a broken connection, and verifies size and ETag."""

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
_ATTEMPTS = 5  # in a row without progress, or with corrupt data
_MD5 = re.compile(r"[0-9a-f]{32}")  # the ETag of an object that was uploaded in one part


@dataclass(frozen=True)
class S3Object:
    """An object as listed: key, size in bytes, and ETag, which changes with its contents."""

    key: str
    size: int
    etag: str

    def partial(self, path: Path) -> Path:
        """The file beside `path` that holds an unfinished download."""
        return path.with_name(f".{path.name[:100]}.{self.etag.replace('/', '_')}.partial")


def download(client: Any, bucket: str, entry: S3Object, path: Path) -> S3Object:
    """Download an object to `path` atomically. Returns the object downloaded, which may be newer than `entry`.

    An unfinished download stays beside `path`, with the ETag in its name, and the next call resumes it.
    Raises UserError if the download keeps failing, and ClientError if S3 refuses it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while failures < _ATTEMPTS:
        partial = entry.partial(path)
        before = _size(partial)
        broken = "the response ended early"
        encrypted = False
        try:
            encrypted = _go_on(client, bucket, entry, partial)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 412:
                raise
            partial.unlink(missing_ok=True)  # a part of the object's previous version
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
                raise UserError(
                    f"{where}: the connection keeps breaking ({broken}); run the command again to resume"
                )
            time.sleep(min(0.1 * 2**failures, 5))
        elif _is_whole(partial, entry, encrypted):
            partial.replace(path)
            return entry
        else:
            partial.unlink()
            failures += 1
    raise UserError(
        f"s3://{bucket}/{entry.key}: corrupt or changed at every download; run the command again later"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _go_on(client: Any, bucket: str, entry: S3Object, partial: Path) -> bool:
    """Download the missing bytes. Returns whether the object is encrypted with a key, so that its ETag is no MD5."""
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
        return True  # no MD5 to compare; boto3 has checked S3's own checksum, if any
    with partial.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == entry.etag
