"""Rollout of a new model: immediate, canary or rolled back; no request fails meanwhile."""

from __future__ import annotations

import io
import threading

import clips
import pytest
from PIL import Image
from problems import is_problem
from rectangles import build, picture
from servers import Server, choose, prepare, served, wait_for

from serve import promote
from serve.deployment.evidence import Bounds
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.exports.model_folder import add_model
from serve.jobs.limits import Limits
from serve.metrics.counters import Counters
from serve.storage.job_files import JobFiles
from serve.storage.opening import open_database
from trainers.detection import export

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path, rectangles_folder):
    settings = Settings(
        data=tmp_path / "data", limits=Limits(free_bytes=0), threads=1, model_roots=(tmp_path,)
    )
    prepare(settings, rectangles_folder)
    with served(settings) as server:
        yield server


def image() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(64, 64, {"red": (0.2, 0.2, 0.6, 0.6)})).save(buffer, "PNG")
    return buffer.getvalue()


class Clients:
    """Sends requests continuously from several threads, and collects the statuses."""

    def __init__(self, server: Server):
        self.statuses: list[int] = []
        self.models: set[str] = set()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(Server(server.url, server.settings),)) for _ in range(3)
        ]

    def _ask(self, server):
        data = image()
        while not self._stop.is_set():
            answer = server.call(
                "POST", "/v1/images:detect", data=data, headers={"Content-Type": "image/png"}
            )
            self.statuses.append(answer.status_code)
            if answer.ok:
                self.models.add(answer.json()["model"])
            self._stop.wait(
                0.05
            )  # all clients and `phase` share one token, which may make 100 requests a second

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def phase(server):
    candidate = server.call("GET", "/v1/model").json()["rollout"]["candidate"]
    return candidate and candidate["phase"]


@pytest.mark.slow(50)
def test_a_hot_swap_fails_no_request(server, tmp_path, rectangles, capsys):
    new = build(tmp_path / "new", shift=0.01)
    with Clients(server) as clients:
        wait_for(lambda: len(clients.statuses) > 10)
        assert promote.main(["--model", str(new), "--url", server.url, "--token", "token-for-tests"]) == 0
        now = server.call("GET", "/v1/model").json()["model"]
        before = len(clients.statuses)
        wait_for(lambda: len(clients.statuses) > before + 10)
    assert set(clients.statuses) == {200}
    assert clients.models == {rectangles.export_id, now}
    assert "promoted" in capsys.readouterr().out
    assert promote.main(["--rollback", "--url", server.url, "--token", "token-for-tests"]) == 0
    assert server.call("GET", "/v1/model").json()["model"] == rectangles.export_id


def test_a_canary_with_as_many_detections_is_promoted(server, tmp_path):
    new = build(tmp_path / "new", shift=0.01)
    answer = server.call(
        "POST", "/v1/model:promote", json={"model": str(new), "canary": 0.5, "images": 30, "jobs": 1}
    )
    assert answer.status_code == 202, answer.text
    with Clients(server) as clients:
        wait_for(lambda: phase(server) == "promoted")
    assert set(clients.statuses) == {200}
    assert server.call("GET", "/v1/model").json()["model"] == answer.json()["candidate"]["model"]


def test_a_canary_without_detections_is_rolled_back(server, tmp_path, rectangles):
    blind = build(tmp_path / "blind", blind=True)
    server.call(
        "POST", "/v1/model:promote", json={"model": str(blind), "canary": 0.5, "images": 30, "jobs": 1}
    )
    with Clients(server) as clients:
        wait_for(lambda: phase(server) == "rolled back")
    assert set(clients.statuses) == {200}
    state = server.call("GET", "/v1/model").json()
    assert state["model"] == rectangles.export_id
    assert "finds 0.00 times as much" in state["rollout"]["candidate"]["why"]


def test_a_model_that_fails_to_load_is_reported_and_the_old_one_keeps_serving(
    server, tmp_path, rectangles, capsys
):
    broken = build(tmp_path / "broken", broken=True)
    with Clients(server) as clients:
        assert promote.main(["--model", str(broken), "--url", server.url, "--token", "token-for-tests"]) == 1
    assert set(clients.statuses) == {200}
    ready = server.call("GET", "/readyz")
    assert ready.status_code == 200
    assert ready.json()["model"] == rectangles.export_id
    assert "no backend can run it on this machine" in ready.json()["candidate"]["why"]


def test_a_canary_that_fails_on_some_images_fails_no_request_and_no_job(server, tmp_path, rectangles):
    fragile = build(
        tmp_path / "fragile", fragile=True
    )  # valid on its samples, but fails on images without green
    choose(export.read(fragile), server.settings, "tensorflow")  # OpenVINO removes assertions
    server.call(
        "POST", "/v1/model:promote", json={"model": str(fragile), "canary": 0.6, "images": 60, "jobs": 1}
    )
    wait_for(lambda: phase(server) == "canary")
    clip = clips.make(tmp_path / "clip.mp4", 20, name="blue")
    ids = [server.submit(clip, '{"annotate": false}').json()["id"] for _ in range(6)]
    assert all(server.ended(job_id)["state"] == "done" for job_id in ids)
    with Clients(server) as clients:
        wait_for(lambda: phase(server) in ("rolled back",))
    assert set(clients.statuses) == {200}
    assert server.call("GET", "/v1/model").json()["model"] == rectangles.export_id


def test_an_invalid_promotion_is_refused(server, tmp_path, rectangles_folder):
    for model, status in (
        ("/etc", 422),
        (str(tmp_path / "nothing"), 422),
        ("a\0b", 422),
        (str(tmp_path / "../.."), 422),
    ):
        answer = server.call("POST", "/v1/model:promote", json={"model": model})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    assert server.call("POST", "/v1/model:rollback").status_code == 409


@pytest.mark.parametrize("flag", ["--rollback", "--roll-back"])
def test_the_command_rolls_back_by_either_spelling_and_documents_one(server, flag, capsys):
    assert promote.main([flag, "--url", server.url, "--token", "token-for-tests"]) == 2
    assert "no rollout is in progress, and no model served before" in capsys.readouterr().err
    assert "--roll-back" not in promote.parser().format_help()


def test_without_a_model_that_loads_readyz_says_why(tmp_path, rectangles_folder):
    settings = Settings(data=tmp_path / "data", limits=Limits(free_bytes=0), threads=1)
    prepare(settings, rectangles_folder)
    for samples in settings.models_folder.glob("*/samples.npz"):
        samples.unlink()
    with served(settings) as server:
        ready = server.call("GET", "/readyz")
        assert ready.status_code == 503
        assert "samples.npz: is missing" in ready.json()["why"]
        assert server.call("GET", "/healthz").status_code == 200
        answer = server.call("POST", "/v1/images:detect", data=image(), headers={"Content-Type": "image/png"})
        is_problem(answer, 503, "the model cannot be used now")


@pytest.mark.parametrize("when", ["while it is sent", "while it is kept"])
def test_a_video_during_which_the_canary_is_rolled_back_goes_to_the_champion(
    when, tmp_path, rectangles, rectangles_folder, monkeypatch
):
    settings = Settings(data=tmp_path / "data", limits=Limits(free_bytes=0), threads=1)
    prepare(settings, rectangles_folder)
    canary = add_model(settings, build(tmp_path / "new", shift=0.01)).export_id
    database = open_database(settings)
    rollout = Rollout(database, Counters(database))
    rollout.propose(canary, 1 - 1e-9, Bounds())
    rollout.loaded(canary, "a")
    assert rollout.pick() == canary
    real = JobFiles.add

    def kept(self, *words):
        if when == "while it is kept":
            rollout.roll_back("requested")
        real(self, *words)

    monkeypatch.setattr(JobFiles, "add", kept)
    video = clips.make(tmp_path / "clip.mp4", 3).read_bytes()

    def form():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="clip.mp4"\r\n\r\n' + video[:500]
        if when == "while it is sent":
            wait_for(lambda: list((settings.data / "incoming").glob("*")), 20)
            rollout.roll_back("requested")
        yield video[500:] + b"\r\n--b--\r\n"

    with served(settings, replica=False) as server:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = server.call("POST", "/v1/jobs", data=form(), headers=headers)
        assert answer.status_code == 202, answer.text
        assert answer.json()["model"] == rectangles.export_id
        assert server.job(answer.json()["id"])["model"] == rectangles.export_id
