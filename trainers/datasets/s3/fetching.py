"""Downloads a source from S3 into a cache of limited size on this machine, in parallel, resuming and verifying.

Credentials, region and endpoint come from boto3: the environment (AWS_ENDPOINT_URL, AWS_PROFILE, ...) or ~/.aws. Without
credentials, requests are unsigned, which works for public buckets. Objects with the cached size and ETag are kept.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from filelock import FileLock, Timeout

from trainers.datasets.cache import disk_errors_as_user_errors
from trainers.datasets.catalogue import rank
from trainers.datasets.files.paths import UnsafePath, safe_join
from trainers.datasets.files.walking import walk
from trainers.datasets.s3.download import S3Object, download
from trainers.errors import UserError

CACHE_VARIABLE, LIMIT_VARIABLE = "DETECTOR_TUNING_S3_CACHE", "DETECTOR_TUNING_S3_CACHE_GB"
_DEFAULT_GB = 100.0
_WORKERS = 16
_IN_USE_SECONDS = 3600.0  # a source used this recently may still be read, and is not deleted
_OBJECTS, _LAST_USED = ".objects.sqlite", ".last-used"


@dataclass(frozen=True)
class Cache:
    """The folder of downloaded sources, and their total size limit in bytes."""

    folder: Path
    limit: int

    @staticmethod
    def of_this_machine() -> Cache:
        """The cache set in the environment; by default 100 GB in ~/.cache/detector-tuning/s3."""
        folder = os.environ.get(CACHE_VARIABLE) or "~/.cache/detector-tuning/s3"
        text = os.environ.get(LIMIT_VARIABLE) or str(_DEFAULT_GB)
        try:
            gigabytes = float(text)
        except ValueError:
            raise UserError(f"{LIMIT_VARIABLE}={text}: expected a number of gigabytes") from None
        return Cache(Path(folder).expanduser(), round(gigabytes * 1e9))


def fetch(uri: str, on_progress: Callable[[str], None], cache: Cache | None = None) -> Path:
    """Download the source at `uri`. Returns the local folder, or the file if `uri` is the key of one object.

    uri: s3://bucket/prefix. For the key of a .json or .yaml file, the objects beside it are downloaded too.
    on_progress: called with one line of text every 100 objects.
    Raises UserError if the source cannot be downloaded completely.
    """
    cache = cache or Cache.of_this_machine()
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise UserError(f"{uri}: expected a bucket and a prefix: s3://bucket/prefix")
    with _s3_errors_as_user_errors(uri), disk_errors_as_user_errors(cache.folder):
        client = _client()
        objects, root, named = _listed(client, bucket, prefix.strip("/"), uri)
        folder = cache.folder / f"{bucket}-{_digest(client, bucket, root)}" / (Path(root).name or bucket)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".lock"):
            _fetch(client, bucket, objects, root, folder, cache, uri, on_progress)
    return folder / named if named else folder


def _digest(client: Any, bucket: str, root: str) -> str:
    return f"{rank(f'{client.meta.endpoint_url} {bucket} {root}'):016x}"


def _client() -> Any:
    session = boto3.Session()
    unsigned = {} if session.get_credentials() else {"signature_version": UNSIGNED}
    retries = {"mode": "standard", "max_attempts": 4}
    return session.client(
        "s3",
        # boto3 itself reads AWS_DEFAULT_REGION alone
        region_name=session.region_name or os.environ.get("AWS_REGION") or "us-east-1",
        config=Config(
            max_pool_connections=_WORKERS, retries=retries, connect_timeout=10, read_timeout=60, **unsigned
        ),
    )


@contextmanager
def _s3_errors_as_user_errors(uri: str) -> Iterator[None]:
    """Turn errors of S3 into UserErrors of one line."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        if code == "NoSuchBucket":
            raise UserError(f"{uri}: no such bucket") from None
        if code in ("NoSuchKey", "404"):
            raise UserError(
                f"{uri}: an object was deleted during the download; run the command again"
            ) from None
        if code in (
            "AccessDenied",
            "403",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "InvalidToken",
        ):
            if boto3.Session().get_credentials() is None:
                raise UserError(
                    f"{uri}: access denied without credentials; set them with `aws configure`"
                ) from None
            raise UserError(
                f"{uri}: access denied with these credentials ({code}); check `aws configure` or AWS_PROFILE"
            ) from None
        raise UserError(f"{uri}: S3 error {code}: {' '.join(str(error).split())}") from None
    except BotoCoreError as error:
        raise UserError(f"{uri}: cannot reach S3: {' '.join(str(error).split())}") from None


def _listed(client: Any, bucket: str, prefix: str, uri: str) -> tuple[list[S3Object], str, str]:
    """The objects of a source, the prefix of their folder, and the file name if the source is one object, else ""."""

    def below(folder: str) -> list[S3Object]:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=f"{folder}/" if folder else ""
        )
        found = (
            entry for page in pages for entry in page.get("Contents", []) if not entry["Key"].endswith("/")
        )
        return [S3Object(entry["Key"], entry["Size"], entry["ETag"].strip('"')) for entry in found]

    objects = below(prefix)
    if objects:
        return objects, prefix, ""
    root, _, named = prefix.rpartition("/")
    beside = below(root) if named else []
    if not any(entry.key == prefix for entry in beside):
        raise UserError(f"{uri}: no such object or prefix")
    if not named.endswith((".json", ".yaml", ".yml")):
        beside = [entry for entry in beside if entry.key == prefix or entry.key.endswith(".pbtxt")]
    return beside, root, named


def _fetch(
    client: Any,
    bucket: str,
    objects: list[S3Object],
    root: str,
    folder: Path,
    cache: Cache,
    uri: str,
    on_progress: Callable[[str], None],
) -> None:
    (folder.parent / _LAST_USED).touch()
    with closing(sqlite3.connect(folder.parent / _OBJECTS, isolation_level=None)) as index:
        index.execute("CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, etag TEXT)")
        etags = dict(index.execute("SELECT key, etag FROM objects"))
        missing, kept = [], set()
        for entry in objects:
            try:
                path = safe_join(folder, entry.key.removeprefix(root).lstrip("/"))
            except UnsafePath:
                raise UserError(
                    f"{uri}: the key '{entry.key}' points outside its folder; rename it"
                ) from None
            kept.add(path)
            if etags.get(entry.key) != entry.etag or not path.is_file() or path.stat().st_size != entry.size:
                missing.append((entry, path))
        kept |= {entry.partial(path) for entry, path in missing}
        for path in [*walk(folder), *folder.rglob(".*.partial")]:
            if path not in kept:
                path.unlink()
        _make_room(sum(entry.size for entry in objects), sum(e.size for e, _ in missing), folder, cache, uri)
        done = 0
        with ThreadPoolExecutor(_WORKERS) as pool:
            for entry in pool.map(lambda job: download(client, bucket, *job), missing):
                index.execute("INSERT OR REPLACE INTO objects VALUES (?, ?)", (entry.key, entry.etag))
                done += 1
                if done % 100 == 0 or done == len(missing):
                    on_progress(f"downloaded {done} of {len(missing)} objects from {uri}")


def _make_room(whole: int, missing: int, folder: Path, cache: Cache, uri: str) -> None:
    """Delete the least recently used sources until this one fits. Raises UserError if it cannot fit.

    whole, missing: bytes of this source, and how many of them are still to be downloaded.
    """
    if whole > cache.limit:
        how = f"raise {LIMIT_VARIABLE}, or use a part of the source"
        raise UserError(
            f"{uri}: {whole / 1e9:.3g} GB exceed the cache limit of {cache.limit / 1e9:.3g} GB; {how}"
        )
    others = [path for path in cache.folder.iterdir() if path.is_dir() and path != folder.parent]
    sizes = {path: sum(file.stat().st_size for file in walk(path)) for path in others}
    used = sum(sizes.values()) + whole
    for path in sorted(others, key=_last_used):
        short = used > cache.limit or shutil.disk_usage(folder).free < missing
        if not short or time.time() - _last_used(path) < _IN_USE_SECONDS:
            break
        try:
            with FileLock(path / ".lock", blocking=False):
                shutil.rmtree(path)
        except Timeout:
            continue
        used -= sizes[path]
    free = shutil.disk_usage(folder).free
    if free < missing:
        raise UserError(
            f"{uri}: needs {missing / 1e9:.3g} GB, but {cache.folder} has {free / 1e9:.3g} GB free; free some space"
        )
    if used > cache.limit:
        raise UserError(f"{uri}: the cache {cache.folder} is full of sources in use; raise {LIMIT_VARIABLE}")


def _last_used(path: Path) -> float:
    mark = path / _LAST_USED
    return mark.stat().st_mtime if mark.exists() else 0.0
