"""The client waits for a server that restarts, and a job can be fetched by its id later."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serve import client as clients
from serve.client import Client, Unreachable
from serve.detect import main
from serve.errors import Refused
from serve.jobs.options import Options
from trainers.errors import UserError

JOB = {"id": "j", "state": "running", "frames": 1, "frames_total": 2, "frames_per_second": 1.0, "error": None,
       "options": {"annotate": False}}  # fmt: skip
DONE = JOB | {"state": "done", "frames": 2}


class Scripted:
    """An HTTP server that answers the requests to each path in turn: a status and JSON, or None: it hangs up."""

    def __init__(self, answers: dict[str, list[tuple[int, object] | None]]) -> None:
        self.asked: list[str] = []
        self.keys: list[bytes] = []
        self.bodies: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                outer.asked.append(f"{self.command} {self.path}")
                outer.keys.append(self.headers.get("idempotency-key", "").encode("latin-1"))
                outer.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
                kept = answers[self.path]
                reply = kept.pop(0) if len(kept) > 1 else kept[0]
                if reply is None:
                    self.close_connection = True
                    return
                body = json.dumps(reply[1]).encode()
                self.send_response(reply[0])
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def scripted(monkeypatch):
    monkeypatch.setattr(clients, "PAUSES", (0.01,))
    servers: list[Scripted] = []

    def start(answers: dict[str, list[tuple[int, object] | None]]) -> Scripted:
        servers.append(Scripted(answers))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


Start = Callable[[dict[str, list[tuple[int, object] | None]]], Scripted]


def test_a_job_is_followed_while_its_server_restarts(scripted: Start):
    server = scripted(
        {"/v1/jobs/j": [(200, JOB), None, (503, {"detail": "starting"}), (502, {}), (200, DONE)],
         "/v1/jobs/j/events": [None]}
    )  # fmt: skip
    states = [job["state"] for job in Client(server.url, "t").events("j")]
    assert states == ["running", "done"]


def test_a_server_that_stays_away_ends_the_patience(scripted: Start):
    server = scripted({"/v1/jobs/j": [None], "/v1/jobs/j/events": [None]})
    with pytest.raises(Unreachable):
        list(Client(server.url, "t", patience=0.05).events("j"))


def test_a_refusal_is_not_waited_for(scripted: Start):
    server = scripted({"/v1/jobs/j": [(404, {"detail": "there is no such job"})]})
    with pytest.raises(Refused, match="no such job"):
        list(Client(server.url, "t").events("j"))
    assert len(server.asked) == 1


def test_an_upload_that_broke_is_sent_again_under_its_key(scripted: Start, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    server = scripted({"/healthz": [(200, {})], "/v1/jobs": [None, (202, JOB)]})
    assert Client(server.url, "t").submit(tmp_path / "a.mp4", Options())["id"] == "j"
    assert server.asked == ["GET /healthz", "POST /v1/jobs", "POST /v1/jobs"]


def test_a_key_and_a_token_beyond_latin_are_sent_in_utf_8(scripted: Start, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    server = scripted(
        {"/healthz": [(200, {})], "/v1/jobs": [(202, JOB)], "/v1/batches": [(202, {"id": "b"})]}
    )
    client = Client(server.url, "ключ")
    client.submit(tmp_path / "a.mp4", Options(), "фильм", webhook="https://a/ä")
    assert "https://a/ä\r\n".encode() in server.bodies[-1]
    client.submit_batch(["s3://a/b.mp4"], Options(), "фильм")
    assert server.keys[1:] == 2 * ["фильм".encode()]


@pytest.mark.parametrize("name", ["key", "output_uri", "webhook"])
def test_what_is_no_unicode_is_said_in_one_line(name, scripted: Start, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    client = Client(scripted({"/healthz": [(200, {})]}).url, "t")
    with pytest.raises(UserError, match=r"'s3://a/\\udcff': not valid Unicode at character 7"):
        client.submit(tmp_path / "a.mp4", Options(), **{name: "s3://a/\udcff"})


def test_a_server_that_never_answered_is_not_waited_for(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    with pytest.raises(Unreachable, match="is the server running"):
        Client("http://127.0.0.1:1", "t").submit(tmp_path / "a.mp4", Options())


def test_the_command_fetches_a_job_by_its_id(scripted: Start, tmp_path, capsys):
    server = scripted({"/v1/jobs/j": [(200, JOB), (200, DONE)], "/v1/jobs/j/events": [None],
                       "/v1/jobs/j/detections": [None, (200, {"frame": 0})]})  # fmt: skip
    target = tmp_path / "found.jsonl"
    assert main(["--job", "j", "--detections", str(target), "--url", server.url, "--token", "t"]) == 0
    assert json.loads(target.read_text()) == {"frame": 0}
    assert not [path for path in tmp_path.iterdir() if path != target]


@pytest.mark.parametrize(
    "flag",
    ["--study=night", "--model=best", "--threshold-for=f1", "--backend=openvino", "--max-map-drop=0"],
)
def test_a_model_is_not_chosen_for_a_server(flag, scripted: Start, tmp_path, capsys):
    (tmp_path / "a.mp4").write_bytes(b"video")
    server = scripted({"/healthz": [(200, {})], "/v1/jobs": [(202, JOB)], "/v1/jobs/j": [(200, DONE)],
                       "/v1/jobs/j/detections": [(200, {})]})  # fmt: skip
    words = ["--detections", str(tmp_path / "d"), "--url", server.url, "--token", "t", flag]
    assert main([str(tmp_path / "a.mp4"), *words]) == 2
    assert f"{flag.partition('=')[0]}: of a model in this process; add --local" in capsys.readouterr().err
    assert server.asked == []


@pytest.mark.parametrize(
    "flag", ["--threshold=.5", "--classes=car", "--every=2", "--track", "--codec=vp9", "--no-audio"]
)
def test_options_are_not_given_to_a_job_that_has_its_own(flag, scripted: Start, tmp_path, capsys):
    server = scripted({"/v1/jobs/j": [(200, DONE)], "/v1/jobs/j/detections": [(200, {})]})
    words = ["--detections", str(tmp_path / "d"), "--url", server.url, "--token", "t", flag]
    assert main(["--job", "j", *words]) == 2
    assert f"{flag.partition('=')[0]}: the job has its options" in capsys.readouterr().err
    assert server.asked == []


@pytest.mark.parametrize("words", [["a.mp4", "--job", "j"], [], ["--job", "j", "--local"]])
def test_a_video_or_a_job_is_given(words, tmp_path, capsys):
    assert main([*words, "--detections", str(tmp_path / "found.jsonl")]) == 2
    assert "--job" in capsys.readouterr().err


def test_the_command_says_which_job_it_sent_and_how_to_fetch_it(scripted: Start, tmp_path, capsys):
    (tmp_path / "a.mp4").write_bytes(b"video")
    server = scripted({"/healthz": [(200, {})], "/v1/jobs": [(202, JOB)], "/v1/jobs/j": [(200, DONE)],
                       "/v1/jobs/j/detections": [(200, {})]})  # fmt: skip
    words = [
        str(tmp_path / "a.mp4"),
        "--detections",
        str(tmp_path / "d"),
        "--url",
        server.url,
        "--token",
        "t",
    ]
    assert main(words) == 0
    assert "--job j" in capsys.readouterr().err
