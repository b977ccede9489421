"""Sources: videos that a job names instead of sending them: files in allowed folders, objects under allowed prefixes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from serve.deployment.settings import Settings
from serve.errors import Refused


def check(uri: str, settings: Settings) -> None:
    """Raise Refused when the server does not allow this address, or nothing (or too much) is there."""
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:
        scheme = ""
    if scheme == "file":
        size = _allowed_file(uri, settings).stat().st_size
    elif scheme == "s3":
        size = _s3_size(uri, settings)
    else:
        raise Refused(422, "a job names its video by s3:// or file:// only; send others in the field 'file'")
    check_room(size, settings)


def check_room(size: int, settings: Settings) -> None:
    """Raise Refused when a video of `size` bytes is too large, or would fill the disk."""
    if size > settings.limits.upload_bytes:
        raise Refused(413, f"the video has {size} bytes; at most {settings.limits.upload_bytes} are taken")
    free = shutil.disk_usage(settings.data).free
    if free - size < settings.limits.free_bytes:
        raise Refused(507, "the server's disk is nearly full; try again later", retry_after=600)


def fetch(uri: str, target: Path, settings: Settings) -> None:
    """Copy the video to `target`, whole or not at all. Raises Refused."""
    check(uri, settings)
    partial = target.with_name(f".{target.name}.partial")
    if urlsplit(uri).scheme == "file":
        shutil.copyfile(_allowed_file(uri, settings), partial)
    else:
        bucket, key = _bucket_and_key(uri)
        _s3_client().download_file(bucket, key, str(partial))
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)


def _allowed_file(uri: str, settings: Settings) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or "\0" in uri:
        raise Refused(422, "a file:// address names a file of the server itself: file:///path")
    try:
        # after every link and '..' has been followed: what counts is where it leads
        path: Path | None = Path(unquote(parts.path)).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        path = None
    roots = [root.resolve() for root in settings.file_roots]
    # one answer for both, so that nobody learns which files there are
    if path is None or not any(path.is_relative_to(root) for root in roots) or not path.is_file():
        raise Refused(422, "no such file in the folders that this server allows")
    return path


def _bucket_and_key(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.netloc, unquote(parts.path).lstrip("/")


def _s3_size(uri: str, settings: Settings) -> int:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = _bucket_and_key(uri)
    plain = f"s3://{bucket}/{key}"
    allowed = (prefix.rstrip("/") + "/" for prefix in settings.s3_prefixes)
    if ".." in key.split("/") or not any(plain.startswith(prefix) for prefix in allowed):
        raise Refused(422, "this server does not allow that s3:// address")
    try:
        return int(_s3_client().head_object(Bucket=bucket, Key=key)["ContentLength"])
    except (BotoCoreError, ClientError) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
        raise Refused(422, f"{plain} cannot be read ({code})") from None


def _s3_client() -> Any:
    import boto3

    return boto3.client("s3")
