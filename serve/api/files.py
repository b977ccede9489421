"""A file of a job as an answer: from the disk, or from the store, through this server or by an address that it signs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import FileResponse, RedirectResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.responses import MalformedRangeHeader, RangeNotSatisfiable

from serve.errors import Refused
from serve.jobs.job import Job
from serve.storage.job_files import JobFiles
from serve.storage.s3 import answered
from serve.storage.stored_job_files import StoredJobFiles
from tuning.stores.store import Entry, Store

# from this size on a result is fetched from the store itself, if the settings allow that
PRESIGNED_BYTES = 8 << 20
PRESIGNED_SECONDS = 3600


class FileOnDisk(FileResponse):
    """A file sent in chunks of 1 MiB, because Ray's proxy handles each chunk as a message.

    A Range that is not understood is ignored (RFC 9110, 14.2); one beyond the file's end is a problem with status 416.
    """

    chunk_size = 1 << 20

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []
        except RangeNotSatisfiable as error:
            size = {"Content-Range": f"bytes */{error.max_size}"}
            raise HTTPException(416, f"the file has {error.max_size} bytes", size) from None

    @classmethod
    def parts(cls, asked: str, size: int) -> list[tuple[int, int]]:
        """The parts [first, end) of a file that a Range header asks for; none if it is not understood."""
        return cls._parse_range_header(asked, size)


def answer(
    files: JobFiles,
    job: Job,
    name: str,
    media_type: str,
    request: Request,
    known: str | None,
    presigned: bool = False,
    more: Mapping[str, str] | None = None,
) -> Response:
    """The file, the part of it that Range asks for, or 304 for a client that has it.

    name: of a result, or INPUT. known: If-None-Match. presigned: redirect to the store for a large one, see `_follows`.
    Raises Refused (404).
    """
    headers = {"Cache-Control": "private, max-age=3600", **(more or {})}
    if isinstance(files, StoredJobFiles):
        entry = files.find(files.key(job, name))
        if entry is None:
            raise Refused(404, f"the file {name} was removed, or never kept")
        if presigned and entry.size >= PRESIGNED_BYTES and _follows(request):
            with answered():
                url = files.store.url(entry.key, PRESIGNED_SECONDS)
            return RedirectResponse(url, 307, {"Cache-Control": "no-store"})
        return _stored(files.store, entry, media_type, request, headers | {"ETag": entry.tag}, known)
    path = files.path(job, name)
    if not path.exists():
        raise Refused(404, f"the file {name} was removed, or never kept")
    return _on_disk(path, media_type, headers, known)


def _follows(request: Request) -> bool:
    """Whether the request may be redirected to the store.

    An address is signed for GET alone. And a ticket is the page's, whose policy lets it load from this server only.
    """
    return request.method != "HEAD" and "ticket" not in request.query_params


def _on_disk(path: Path, media_type: str, headers: dict[str, str], known: str | None) -> Response:
    found = path.stat()
    tag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    headers["ETag"] = tag
    if _has(known, tag):
        return Response(status_code=304, headers=headers)
    return FileOnDisk(path, media_type=media_type, headers=headers)


def _stored(
    store: Store, entry: Entry, media_type: str, request: Request, headers: dict[str, str], known: str | None
) -> Response:
    if _has(known, entry.tag):
        return Response(status_code=304, headers=headers)
    headers |= {"Accept-Ranges": "bytes"}
    first, end, status = 0, entry.size, 200
    asked, condition = request.headers.get("range"), request.headers.get("if-range")
    if asked is not None and condition in (None, entry.tag):
        parts = FileOnDisk.parts(asked, entry.size)
        if len(parts) == 1:  # the whole file is a right answer to several, too
            ((first, end),) = parts
            status = 206
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{entry.size}"
    headers["Content-Length"] = str(end - first)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)

    def content() -> Iterator[bytes]:
        yield from store.chunks(entry.key, first, end)

    return StreamingResponse(content(), status, headers, media_type)


def _has(known: str | None, tag: str) -> bool:
    return known is not None and (known.strip() == "*" or tag in known)
