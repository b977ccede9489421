"""Streams multipart bodies to disk while they arrive, and stops as soon as a limit is exceeded."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from starlette.requests import ClientDisconnect
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from serve.errors import Refused

FIELD_BYTES = 1 << 20  # limit of all plain fields together
MAX_PARTS = 200
CHUNK_BYTES = 1 << 20
SMALL_BYTES = 1 << 20  # a body of so many bytes may stay in memory


@dataclass
class Form:
    """A parsed body. files: (client's file name, path where it was written, bytes), in order. digest: of all parts.

    contents: of the files instead, where none were written.
    """

    fields: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, Path, int]] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    digest: str = ""


@asynccontextmanager
async def incoming_folder(data: Path) -> AsyncIterator[Path]:
    """A new folder in `data`/incoming for the files of a request; removed afterwards, unless it was moved away."""

    def new() -> Path:
        incoming = data / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=incoming))

    folder = await asyncio.to_thread(new)
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, True)


def is_small(request: Request) -> bool:
    """Whether the request declares a body of at most SMALL_BYTES."""
    length = request.headers.get("content-length", "")
    return length.isdecimal() and int(length) <= SMALL_BYTES


async def read_body(request: Request, limit: int, path: Path | None) -> tuple[bytes, int]:
    """The body, or b"" when it was written to `path` instead, and its bytes.

    Raises Refused: 413 beyond `limit` bytes, 400 for an incomplete body.
    """
    body, size = bytearray(), 0
    file = None if path is None else await asyncio.to_thread(path.open, "wb")
    try:
        async for chunk in request.stream():
            body += chunk
            size += len(chunk)
            if size > limit:
                raise Refused(413, f"the body is larger than the limit of {limit} bytes")
            if file is not None and len(body) >= CHUNK_BYTES:
                await asyncio.to_thread(file.write, bytes(body))
                body.clear()
        if file is not None:
            await asyncio.to_thread(file.write, bytes(body))
            body.clear()
    except ClientDisconnect:
        raise Refused(400, "the body is incomplete") from None
    finally:
        if file is not None:
            await asyncio.to_thread(file.close)
    return bytes(body), size


async def read_form(
    request: Request, folder: Path | None, limit: int, files: int, check_disk_space: Callable[[int], None]
) -> Form:
    """Write up to `files` parts named "file" into `folder`, under generated names, and collect the plain fields.

    folder: None to keep the files in memory. limit: bytes of all files. check_disk_space: raises Refused when that many
    bytes do not fit on the disk.
    Raises Refused: 413 beyond a limit, 400 for an incomplete or malformed body, 415 for another type, 422 for an
    unexpected part.
    """
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    boundary = parameters.get("boundary", "")
    if kind != "multipart/form-data" or not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise Refused(415, "send multipart/form-data with the field 'file'")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "send the body without a Content-Encoding")
    length = request.headers.get("content-length", "")
    if length.isdigit():
        if int(length) > limit + FIELD_BYTES:
            raise Refused(413, f"the body has {int(length)} bytes; the limit for files is {limit} bytes")
        if folder is not None:
            await asyncio.to_thread(check_disk_space, int(length))
    reader = _Reader(boundary.encode(), folder, limit, files)
    checked = 0
    try:
        pending = bytearray()
        async for chunk in request.stream():
            pending += chunk
            if len(pending) >= CHUNK_BYTES:
                await asyncio.to_thread(reader.feed, bytes(pending))
                pending.clear()
            if reader.written - checked > 64 * CHUNK_BYTES:  # for a body of undeclared length
                checked = reader.written
                await asyncio.to_thread(check_disk_space, 0)
        await asyncio.to_thread(reader.end, bytes(pending))
    except RequestEntityTooLarge:
        raise Refused(413, "the body has too many parts or too much text in its fields") from None
    except ClientDisconnect:
        raise Refused(400, "the body is incomplete") from None
    except ValueError:
        raise Refused(400, "the body is not well-formed multipart/form-data") from None
    finally:
        reader.close()
    return reader.form


class _Reader:
    def __init__(self, boundary: bytes, folder: Path | None, limit: int, files: int) -> None:
        self.form = Form()
        self.written = 0
        # its limit is for what it buffers: a chunk, and the beginning of an unfinished field or header
        self._decoder = MultipartDecoder(boundary, FIELD_BYTES + CHUNK_BYTES, max_parts=MAX_PARTS)
        self._in_fields = 0
        self._folder, self._limit, self._most = folder, limit, files
        self._digest = hashlib.sha256()
        self._part: Field | File | None = None
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._files = 0
        self._text = bytearray()
        self._size = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Parse the next part of the body."""
        for start in range(0, len(data), CHUNK_BYTES):
            self._decoder.receive_data(data[start : start + CHUNK_BYTES])
            self._events()

    def end(self, data: bytes) -> None:
        """Parse the last part of the body. Raises ValueError when the body is incomplete."""
        self.feed(data)
        self._decoder.receive_data(None)
        self._events()
        if not self._ended:
            raise ValueError("no closing boundary")
        self.form.digest = self._digest.hexdigest()

    def close(self) -> None:
        """Close the file being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _events(self) -> None:
        while not isinstance(event := self._decoder.next_event(), NeedData):
            if isinstance(event, Epilogue):
                self._ended = True
                return
            if isinstance(event, Field | File):
                self._begin(event)
            elif isinstance(event, Data):
                self._data(event.data)
                if not event.more_data:
                    self._finish()

    def _begin(self, part: Field | File) -> None:
        if not part.name:
            raise Refused(422, "a part of the form has no name")
        self._part, self._size = part, 0
        self._text.clear()
        self._digest.update(f"\0{part.name}\0".encode("utf-8", "replace"))
        if isinstance(part, File):
            if part.name != "file":
                raise Refused(422, f"files must be in the field 'file', not '{part.name[:50]}'")
            if self._files == self._most:
                raise Refused(422, f"at most {self._most} file{'s' if self._most > 1 else ''} per request")
            encoding = Headers(part.headers).get("content-transfer-encoding", "binary").lower()
            if encoding not in ("binary", "8bit", "7bit"):
                raise Refused(415, "send files without a Content-Transfer-Encoding")
            # the client's file name is never used as a path
            self._path = None if self._folder is None else self._folder / f"upload-{len(self.form.files)}"
            self._file = io.BytesIO() if self._path is None else self._path.open("wb")
            self._files += 1

    def _data(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)
        if isinstance(self._part, File):
            self.written += len(data)
            if self.written > self._limit:
                raise Refused(413, f"the files are larger than the limit of {self._limit} bytes")
            assert self._file is not None
            self._file.write(data)
        else:
            self._in_fields += len(data)
            if self._in_fields > FIELD_BYTES:
                raise RequestEntityTooLarge
            self._text += data

    def _finish(self) -> None:
        if isinstance(self._part, File) and self._path is None:
            assert isinstance(self._file, io.BytesIO)
            self.form.contents.append(self._file.getvalue())
        elif isinstance(self._part, File) and self._path is not None:
            self.close()
            self.form.files.append((self._part.filename or "", self._path, self._size))
        elif self._part is not None:
            self.form.fields[self._part.name] = self._text.decode("utf-8", "replace")
