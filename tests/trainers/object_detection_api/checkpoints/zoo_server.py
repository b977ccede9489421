"""A web server in place of the zoo's, and archives as the zoo publishes them, of zeros."""

import hashlib
import http.server
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainers.object_detection_api import detector as detectors
from trainers.object_detection_api.checkpoints import reading

# the smallest of the three archives
NAME = "mobilenet"
ARCHIVE = detectors.detector(NAME).zoo_archive


def write_checkpoint(prefix: Path, shapes: Mapping[str, list[int]]) -> None:
    """A checkpoint of zeros with just these variables, named as the API's checkpoints name them."""
    import tensorflow as tf

    prefix.parent.mkdir(parents=True)
    names = [name + reading.VALUE for name in shapes]
    values = [tf.zeros(shape) for shape in shapes.values()]
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
    )


def write_archive(file: Path, shapes: Mapping[str, list[int]], extra: str | None = None) -> Path:
    """An archive laid out as the zoo's are."""
    folder = file.parent / "unpacked" / ARCHIVE
    write_checkpoint(folder / "checkpoint" / "ckpt-0", shapes)
    (folder / "saved_model").mkdir()
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"large")
    (folder / "pipeline.config").write_text("model {}")
    with tarfile.open(file, "w:gz", compresslevel=1) as tar:
        tar.add(folder, arcname=ARCHIVE)
        if extra is not None:
            tar.add(folder / "pipeline.config", arcname=extra)
    return file


@dataclass
class Zoo:
    """A web server with one archive, and what was asked of it.

    cut_at: the byte at which each answer ends. ranges: whether it gives parts of a file. etag: of the archive.
    asked: the path of each request, with the range that was asked for.
    """

    archive: Path | None = None
    cut_at: int | None = None
    ranges: bool = True
    etag: str = '"first"'
    asked: list[str] = field(default_factory=list)
    url: str = ""


def sha256_of(archive: Path) -> str:
    return hashlib.sha256(archive.read_bytes()).hexdigest()


@contextmanager
def serving() -> Iterator[Zoo]:
    """The server, while the context lasts."""
    zoo = Zoo()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            zoo.asked.append(" ".join(filter(None, (self.path, wanted))))
            if zoo.archive is None:
                self.send_error(404)
                return
            body, first = zoo.archive.read_bytes(), 0
            if zoo.ranges and wanted and self.headers["If-Range"] == zoo.etag:
                first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if first else 200)
            self.send_header("ETag", zoo.etag)
            self.send_header("Content-Length", str(len(body) - first))
            self.end_headers()
            self.wfile.write(body[first : zoo.cut_at])

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    zoo.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield zoo
    server.shutdown()
    thread.join()
    server.server_close()
