"""Messages are sent until they have arrived, by any process, and to the checked address only."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from certificates import pair
from receiver import receiving

from serve.deployment.database import Database
from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.jobs.batches import Batches
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.store import JobStore
from serve.jobs.submission import Submission
from serve.metrics.counters import Counters
from serve.storage.job_files import JobFiles
from serve.storage.opening import open_secret
from serve.webhooks import addresses, outbox, sending, signing
from serve.webhooks.addresses import resolve
from serve.webhooks.outbox import PAUSES, Outbox, announce
from serve.webhooks.sending import Sender


class Deployment:
    """One with a message to `url`."""

    def __init__(self, folder, url, hosts=("localhost",)):
        self.settings = Settings(data=folder, webhook_hosts=hosts)
        self.database = Database(folder, create=True)
        self.outbox = Outbox(self.database)
        with self.database.transaction() as db:
            announce(db, "a-job", "job.done", url, {"id": "a-job"})

    def send(self):
        """As another process would, which knows only what is stored."""
        batches = Batches(JobStore(self.database, JobFiles(self.settings.jobs_folder)))
        return Sender(
            self.settings,
            Outbox(self.database),
            batches,
            Counters(self.database),
            open_secret(self.settings, signing.NAME),
        ).send_one()

    def wait(self):
        """Until the next try."""
        with self.database.transaction() as db:
            db.execute("UPDATE deliveries SET not_before = 0")

    @property
    def shown(self):
        return self.outbox.of("a-job")[0].to_dict()


def test_a_message_is_signed_and_sent_once(tmp_path):
    with receiving([]) as receiver:
        deployment = Deployment(tmp_path, receiver.url)
        assert deployment.send()
        assert not deployment.send()
    ((headers, body),) = receiver.messages
    signing.verify(signing.secret_of(open_secret(Settings(data=tmp_path), signing.NAME)), headers, body)
    assert receiver.events()[0]["type"] == "job.done"
    assert receiver.events()[0]["data"] == {"id": "a-job"}
    assert deployment.shown["state"] == "delivered"


def test_a_message_that_is_refused_is_sent_again_with_the_same_id_after_growing_pauses(tmp_path):
    with receiving([500, 307, 404]) as receiver:
        deployment = Deployment(tmp_path, receiver.url)
        for number in range(3):
            assert deployment.send()
            assert not deployment.send(), "not before the pause is over"
            shown = deployment.shown
            assert (shown["state"], shown["tries"]) == ("waiting", number + 1)
            deployment.wait()
        assert "HTTP 404" in shown["error"]
        assert deployment.send()
    assert deployment.shown["state"] == "delivered"
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1
    assert list(PAUSES) == sorted(PAUSES)
    assert sum(PAUSES) > 24 * 3600, "a receiver may be away for a day"


def test_a_message_is_given_up_after_its_last_try_and_at_once_when_nobody_wants_it(tmp_path):
    with receiving([500] * 20) as receiver:
        deployment = Deployment(tmp_path, receiver.url)
        while deployment.send():
            deployment.wait()
    assert deployment.shown["state"] == "failed"
    assert len(receiver.messages) == len(PAUSES) + 1
    with receiving([410]) as receiver:
        deployment = Deployment(tmp_path / "other", receiver.url)
        assert deployment.send()
    assert deployment.shown["state"] == "failed"


def test_the_manifest_of_a_batch_that_was_removed_is_not_tried_again(tmp_path):
    deployment = Deployment(tmp_path, None)
    with deployment.database.transaction() as db:
        announce(db, "a-job", "batch.done", None, {}, "s3://bucket/manifest.json")
    assert deployment.send()
    assert (deployment.shown["state"], deployment.shown["error"]) == ("failed", "there is no such batch")


def test_a_batch_of_which_a_job_is_tried_again_is_announced_anew(tmp_path):
    database = Database(tmp_path, create=True)
    batches, queue = Batches(JobStore(database, JobFiles(tmp_path / "jobs"))), JobQueue(database)
    sent = Submission("a.mp4", "file:///a.mp4", Options())
    batch, _ = batches.add([(sent, "model")], None, "https://example.org/hook", 10)
    for times in (1, 2):
        (job,) = batches.jobs(batch.id)
        assert queue.failed(queue.start(job.id, 0), "no video", 0)
        assert [each.event for each in Outbox(database).of(batch.id)] == times * ["batch.done"]
        queue.retry(job, "model")


@pytest.mark.parametrize("reason", ["does not exist yet", "is no longer allowed"])
def test_a_webhook_is_called_without_a_manifest_that_cannot_be_written(reason, tmp_path, monkeypatch):
    status, tries = (503, outbox.MANIFEST_TRIES) if "yet" in reason else (422, 1)

    def refused(*_):
        raise Refused(status, f"the bucket {reason}")

    monkeypatch.setattr(sending.outputs, "send_json", refused)
    with receiving([]) as receiver:
        deployment = Deployment(tmp_path, None)
        monkeypatch.setattr(Batches, "manifest", lambda *_: {})
        with deployment.database.transaction() as db:
            announce(db, "a-job", "batch.done", receiver.url, {"id": "a-job"}, "s3://bucket/manifest.json")
        for _ in range(tries):
            assert receiver.messages == []
            deployment.wait()
            assert deployment.send()
        assert deployment.send()
        (event,) = receiver.events()
        assert event["data"] == {"id": "a-job", "manifest_error": f"the bucket {reason}"}
        states = [message.to_dict()["state"] for message in deployment.outbox.of("a-job")]
        assert sorted(states) == sorted(["delivered", "waiting" if status == 503 else "failed"])
        monkeypatch.setattr(sending.outputs, "send_json", lambda *_: None)
        deployment.wait()
        assert deployment.send() == (status == 503), "the manifest is still tried"
        assert len(receiver.messages) == 1


def test_a_message_whose_sender_died_is_sent_by_another(tmp_path, monkeypatch):
    with receiving([]) as receiver:
        deployment = Deployment(tmp_path, receiver.url)
        assert deployment.outbox.take() is not None  # and its process is killed
        assert not deployment.send(), "while it may still be on its way"
        deployment.wait()
        assert deployment.send()
    assert deployment.shown["state"] == "delivered"
    assert outbox.LEASE_SECONDS > 60


def test_a_host_that_became_private_is_not_called(tmp_path):
    with receiving([]) as receiver:
        deployment = Deployment(tmp_path, receiver.url.replace("http", "https"), hosts=())
        assert deployment.send()
    assert receiver.messages == []
    assert deployment.shown["state"] == "failed"
    assert "private address" in deployment.shown["error"]


def test_a_receiver_that_does_not_answer_is_tried_again(tmp_path):
    deployment = Deployment(tmp_path, "http://localhost:9/", ("localhost",))
    assert deployment.send()
    assert deployment.shown["state"] == "waiting"
    assert "does not answer" in deployment.shown["error"]


def test_a_receiver_whose_name_is_gone_for_a_while_is_tried_again(tmp_path, monkeypatch):
    """As that of a container that is being restarted."""
    real = socket.getaddrinfo

    def gone(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with receiving([]) as receiver:
        deployment = Deployment(tmp_path, receiver.url)
        monkeypatch.setattr(addresses.socket, "getaddrinfo", gone)
        assert deployment.send()
        assert (deployment.shown["state"], receiver.messages) == ("waiting", [])
        assert "there is no host localhost" in deployment.shown["error"]
        monkeypatch.setattr(addresses.socket, "getaddrinfo", real)
        deployment.wait()
        assert deployment.send()
    assert deployment.shown["state"] == "delivered"


def test_a_message_reaches_a_url_beyond_ascii(tmp_path):
    with receiving([]) as receiver:
        deployment = Deployment(tmp_path, receiver.url.replace("/hook?to=me", "/hök?to=é"))
        assert deployment.send()
    assert (deployment.shown["state"], len(receiver.messages)) == ("delivered", 1)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_sends_a_byte_now_and_then_holds_nobody_up(scheme, monkeypatch):
    monkeypatch.setattr(sending, "MOST_SECONDS", 0.3)
    over = threading.Event()

    def trickle():
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            while not over.wait(0.05):
                connection.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle)
        thread.start()
        url = f"{scheme}://localhost:{listener.getsockname()[1]}/"
        with pytest.raises(Refused, match="does not answer"):
            sending.post(resolve(url, ("localhost",)), b"{}", {})
        over.set()
        thread.join()


def test_https_is_spoken_with_receivers_whose_certificate_is_known(tmp_path, monkeypatch):
    tls = pair(tmp_path, "receiver")
    with receiving([], tls) as receiver:
        deployment = Deployment(tmp_path / "data", receiver.url)
        assert deployment.send()
        assert "SSLCertVerificationError" in deployment.shown["error"], "a certificate that nobody knows"
        assert receiver.messages == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
        deployment.wait()
        assert deployment.send()
    assert deployment.shown["state"] == "delivered"
    assert receiver.messages[0][0]["host"] == receiver.url.split("/")[2]
