"""What of a command line goes to the cluster, and what is refused before anything is sent."""

from __future__ import annotations

import io
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from rich.console import Console

from tuning.attach import main as attach
from tuning.jobs.cluster_jobs import Job
from tuning.jobs.submission import name_of, without
from tuning.jobs.watching import Watched, named_in, table
from tuning.run import main as search
from tuning.status import main as status

SUBMIT = ["--space", "mobilenet", "--submit"]


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    """The one line that a command says before it exits with 2; nothing was written."""
    monkeypatch.chdir(tmp_path)

    def call(main, arguments):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert captured.out == ""
        assert list(tmp_path.iterdir()) == []
        return captured.err

    return call


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--space", "a", "--submit", "--address", "http://h:8265", "--trials", "3"], ["--space", "a", "--trials", "3"]),
        (["--address=http://h:8265", "--space", "a", "--submit"], ["--space", "a"]),
        (["--space", "a", "--subm", "--subset", "10%"], ["--space", "a", "--subset", "10%"]),
    ],
)  # fmt: skip
def test_the_flags_for_this_machine_stay_here(words, kept):
    assert without(words) == kept


@pytest.mark.parametrize("study", ["street 2", "street#2", "street?2", "street%2"])
def test_the_name_of_a_search_is_a_word_that_addresses_hold(study):
    assert re.fullmatch(r"street-2-\d{4}-\d{6}", name_of(study))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "--studies-dir studies: is a folder of this machine; give s3://bucket/prefix, or the absolute path"),
        (["--studies-dir", "/shared", "--data", "photos"], "--data photos: is a path of this machine; give s3://"),
        (["--studies-dir", "/shared", "--weights", "mine"], "--weights mine: is a path of this machine; give an"),
        (["--studies-dir", "/shared", "--limit", "latency_ms<=20@costs.csv"], "costs.csv: is a path of this machine"),
        (["--studies-dir", "/shared", "--address", "head:6379"], "jobs are submitted over HTTP; give http://HOST:8265"),
        (["--studies-dir", "/shared", "--address", "http://127.0.0.1:1"], "the cluster's job server does not answer"),
        (["--studies-dir", "/shared", "--trials", "0"], "--trials must be at least 1"),
    ],
)  # fmt: skip
def test_what_the_cluster_could_not_do_is_one_line(refused, more, says):
    assert says in refused(search, [*SUBMIT, *more])


@pytest.mark.parametrize("main", [status, attach])
@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://token-401.localhost:1"])
def test_a_cluster_that_does_not_answer_is_one_line(refused, main, address):
    assert f"{address}: the cluster's job server does not answer" in refused(main, ["--address", address])


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (401, b"Unauthorized: Missing authentication token", "wants its token; set RAY_AUTH_MODE=token"),
        (
            200,
            b'{"version": "4", "ray_version": "2.9.0", "ray_commit": ""}',
            "runs Ray 2.9.0, and here is 2.",
        ),
    ],
)
def test_another_ray_and_a_lacking_token_are_said(refused, code, body, says):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert says in refused(status, ["--address", f"http://127.0.0.1:{server.server_port}"])
    finally:
        server.shutdown()


def test_the_study_is_the_one_that_the_driver_names():
    assert named_in("workers 2\nstudy mobilenet-toy-city in /a/b\nspace") == "mobilenet-toy-city"
    assert named_in("waits") == ""


def test_a_watched_search_shows_the_last_line_of_its_driver_as_it_is():
    line = "the data are in [/data/street] (ip=10.0.0.1) [repeated 3x across cluster]"
    console = Console(file=io.StringIO(), width=120)
    console.print(table(Watched(Job("street-1", "RUNNING", "", 0.0, 0.0, {}, None), line=line), 120))
    assert line in " ".join(console.file.getvalue().split())
