"""Videos given by URI instead of upload: file:// in allowed folders, s3:// under allowed prefixes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.storage import s3
from trainers.files import sync

NOT_ALLOWED = "this server does not allow that s3:// URI (--s3-prefix)"
BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def check(uri: str, settings: Settings) -> int:
    """The video's size in bytes. Raises Refused when the URI is not allowed, or the video is missing or too large."""
    scheme = _scheme(uri)
    if scheme == "file":
        size = _allowed_file(uri, settings).stat().st_size
    elif scheme == "s3":
        size = _s3_size(uri, settings)
    else:
        raise Refused(
            422, "only file:// and s3:// URIs are supported; upload other videos in the field 'file'"
        )
    check_disk_space(size, settings)
    return size


def name_of(uri: str) -> str:
    """The video's name: the last part of the file's path, or of the key on S3."""
    return (unquote(uri) if _scheme(uri) == "file" else uri).rsplit("/", 1)[-1]


def check_place(uri: str, settings: Settings) -> None:
    """Raise Refused when the URI is not allowed. An object on S3 is not looked up: it may be missing."""
    if _scheme(uri) != "s3":
        check(uri, settings)
    elif not s3.allowed(uri, settings.s3_prefixes):
        raise Refused(422, NOT_ALLOWED)


def check_disk_space(size: int, settings: Settings) -> None:
    """Raise Refused when a video of `size` bytes exceeds the limit (413) or would fill the disk (507)."""
    if size > settings.limits.upload_bytes:
        raise Refused(413, f"the video has {size} bytes; the limit is {settings.limits.upload_bytes} bytes")
    free = shutil.disk_usage(settings.data).free
    if free - size < settings.limits.free_bytes:
        raise Refused(507, "the server's disk is nearly full; try again later", retry_after=600)


def fetch(uri: str, target: Path, settings: Settings, alive: Callable[[], None] = lambda: None) -> None:
    """Copy the video to `target`, complete or not at all. alive: called whenever a part of it has come from S3.

    Raises Refused as `check`.
    """
    check(uri, settings)
    partial = target.with_name(f".{target.name}.partial")
    if _scheme(uri) == "file":
        shutil.copyfile(_allowed_file(uri, settings), partial)
    else:
        bucket, key = s3.bucket_and_key(uri)
        with s3.errors(uri):
            s3.client().download_file(bucket, key, str(partial), Callback=lambda count: alive())
    sync(partial)
    partial.replace(target)
    sync(target.parent)


def _scheme(uri: str) -> str:
    return uri.partition("://")[0].lower()


def _allowed_file(uri: str, settings: Settings) -> Path:
    escaped = next((sign for sign in "#?" if sign in uri), None)
    if escaped is not None or BAD_ESCAPE.search(uri):
        sign = escaped or "%"
        raise Refused(422, f"write '{sign}' in a file:// URI as %{ord(sign):02X}")
    host, _, path_part = uri.partition("://")[2].partition("/")
    if host not in ("", "localhost") or "\0" in uri:
        raise Refused(422, "a file:// URI must name a file on the server: file:///path")
    try:
        # resolve links and '..' before the check against the allowed folders
        path: Path | None = Path("/" + unquote(path_part)).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        path = None
    roots = [root.resolve() for root in settings.file_roots]
    # the same message in all cases, so that a client cannot find out which files exist
    if path is None or not any(path.is_relative_to(root) for root in roots) or not path.is_file():
        raise Refused(422, "no such file in the folders that this server allows (--file-root)")
    return path


def _s3_size(uri: str, settings: Settings) -> int:
    bucket, key = s3.bucket_and_key(uri)
    if not s3.allowed(uri, settings.s3_prefixes):
        raise Refused(422, NOT_ALLOWED)
    with s3.errors(uri):
        return int(s3.client().head_object(Bucket=bucket, Key=key)["ContentLength"])
