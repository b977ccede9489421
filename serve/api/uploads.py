"""Reads multipart bodies as they arrive: files go to the disk in pieces, and stop at the limit, not after it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
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

FIELD_BYTES = 1 << 20  # of all plain fields together
PARTS = 200
PIECE = 1 << 20


@dataclass
class Form:
    """A body that has been read. files: (name the client gave, where it was written, bytes), in order."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, Path, int]] = field(default_factory=list)
    digest: str = ""


async def read_form(
    request: Request, folder: Path, limit: int, files: int, check_room: Callable[[int], None]
) -> Form:
    """Write up to `files` parts named "file" into `folder` (names of our own) and gather the plain fields.

    limit: bytes of all files. check_room: raises Refused when so many bytes do not fit the disk.
    Raises Refused: 413 beyond a limit, 400 when the body is not multipart or ends too early, 415 for other types.
    """
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    boundary = parameters.get("boundary", "")
    if kind != "multipart/form-data" or not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise Refused(415, "send multipart/form-data with the field 'file'")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "send the body as it is, without a Content-Encoding")
    length = request.headers.get("content-length", "")
    if length.isdigit():
        if int(length) > limit + FIELD_BYTES:
            raise Refused(413, f"the body has {int(length)} bytes; files of at most {limit} are taken")
        check_room(int(length))
    reader = _Reader(boundary.encode(), folder, limit, files)
    checked = 0
    try:
        pending = bytearray()
        async for chunk in request.stream():
            pending += chunk
            if len(pending) >= PIECE or not chunk:
                await asyncio.to_thread(reader.feed, bytes(pending))
                pending.clear()
            if reader.written - checked > 64 * PIECE:  # a body that does not say its length
                checked = reader.written
                check_room(0)
        await asyncio.to_thread(reader.feed, bytes(pending))
        await asyncio.to_thread(reader.end)
    except RequestEntityTooLarge:
        raise Refused(413, "the body has too many parts, or too large fields") from None
    except ClientDisconnect:
        raise Refused(400, "the body ended too early") from None
    except ValueError:
        raise Refused(400, "the body is not well-formed multipart/form-data") from None
    finally:
        reader.close()
    return reader.form


class _Reader:
    def __init__(self, boundary: bytes, folder: Path, limit: int, files: int) -> None:
        self.form = Form()
        self.written = 0
        # its limit is of what it holds at once: the piece that it was given, and a field or headers that go on
        self._decoder = MultipartDecoder(boundary, FIELD_BYTES + PIECE, max_parts=PARTS)
        self._in_fields = 0
        self._folder, self._limit, self._most = folder, limit, files
        self._digest = hashlib.sha256()
        self._part: Field | File | None = None
        self._file: BinaryIO | None = None
        self._text = bytearray()
        self._size = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take in the next piece of the body."""
        for start in range(0, len(data), PIECE):
            self._decoder.receive_data(data[start : start + PIECE])
            self._events()

    def end(self) -> None:
        """The body is over. Raises ValueError when it should not be."""
        self._decoder.receive_data(None)
        self._events()
        if not self._ended:
            raise ValueError("no closing boundary")
        self.form.digest = self._digest.hexdigest()

    def close(self) -> None:
        """Let go of the file."""
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
                raise Refused(422, f"files go into the field 'file', not '{part.name[:50]}'")
            if len(self.form.files) == self._most:
                raise Refused(422, f"at most {self._most} file{'s' if self._most > 1 else ''} in a request")
            encoding = Headers(part.headers).get("content-transfer-encoding", "binary").lower()
            if encoding not in ("binary", "8bit", "7bit"):
                raise Refused(415, "send files as they are, without a Content-Transfer-Encoding")
            # the client's name is shown, never used
            self._path = self._folder / f"upload-{len(self.form.files)}"
            self._file = self._path.open("wb")

    def _data(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)
        if isinstance(self._part, File):
            self.written += len(data)
            if self.written > self._limit:
                raise Refused(413, f"files of more than {self._limit} bytes are not taken")
            assert self._file is not None
            self._file.write(data)
        else:
            self._in_fields += len(data)
            if self._in_fields > FIELD_BYTES:
                raise RequestEntityTooLarge
            self._text += data

    def _finish(self) -> None:
        if isinstance(self._part, File):
            self.close()
            self.form.files.append((self._part.filename or "", self._path, self._size))
        elif self._part is not None:
            self.form.fields[self._part.name] = self._text.decode("utf-8", "replace")
