"""A deployment's database in PostgreSQL: jobs as in SQLite, each claimed once, on machines that share a folder."""

from __future__ import annotations

import json
import multiprocessing
import time

import pytest
from problems import is_problem
from servers import prepare, served

from serve.deployment.evidence import Evidence
from serve.deployment.preparing import prepare_model
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings
from serve.errors import DatabaseFailed, Refused
from serve.jobs.batches import Batches
from serve.jobs.options import Options
from serve.jobs.progress import Progress
from serve.jobs.queue import JobQueue
from serve.jobs.store import JobStore
from serve.jobs.submission import Submission
from serve.metrics.counters import Counters
from serve.storage.job_files import JobFiles
from serve.storage.opening import open_database
from serve.webhooks.outbox import Outbox
from trainers.errors import UserError

pytestmark = pytest.mark.slow
SENT = Submission("clip", "upload", Options(), None, webhook="https://example.org/hook")
MANIFEST = {"frames": 5, "objects": 3, "damaged": 0}


@pytest.fixture
def settings(tmp_path, postgresql):
    return Settings(data=tmp_path / "data", database=postgresql)


@pytest.fixture
def database(settings):
    return open_database(settings, create=True)


@pytest.fixture
def store(database, settings):
    return JobStore(database, JobFiles(settings.jobs_folder))


def added(store, number=0, key=None, digest="", limit=10):
    folder = store.files.folder("x").parent.parent / f"incoming-{number}"
    folder.mkdir()
    (folder / "input").write_bytes(b"video")
    return store.add(folder, SENT, "model", limit, key, digest)


def progress(frames):
    made = Progress()
    made.frames = frames
    return made


def test_a_job_goes_its_way_as_in_sqlite(store):
    queue = JobQueue(store.database)
    job, new = added(store, key="k", digest="d")
    assert new
    assert added(store, 1, key="k", digest="d")[0].id == job.id
    with pytest.raises(Refused, match="already used"):
        added(store, 2, key="k", digest="other")
    second, _ = added(store, 3)
    with pytest.raises(Refused, match="queue is full"):
        added(store, 4, limit=2)
    assert [each.id for each in queue.due()] == [job.id, second.id]
    assert store.waiting()[0] == 2

    started = queue.start(job.id, 0)
    assert (started.state, started.attempts, started.claim) == ("running", 1, 1)
    assert queue.update_progress(started, progress(4), 100)
    queue.postpone(started, "the disk is full", 0.0, counted=True)
    started = queue.start(job.id, 1)
    assert (started.attempts, started.faults, started.frames) == (1, 0, 4)
    assert queue.done(started, MANIFEST, 100)
    assert not queue.failed(started, "too late", 0)
    assert store.get(job.id).state == "done"
    assert [each.id for each in store.list_jobs(limit=1)] == [second.id]
    assert [each.id for each in store.list_jobs(after=second.cursor, state="done")] == [job.id]
    assert store.counts() == {"done": 1, "queued": 1}
    assert store.cancel(second.id).state == "cancelled"
    assert store.cancel(second.id) is None
    with pytest.raises(Refused, match="no such job"):
        store.get(second.id)
    assert store.expired(days=0, size=1000) == [job.id]

    outbox = Outbox(store.database)
    message = outbox.take()
    assert message.event == "job.done"
    outbox.delivered(message)
    assert [each.event for each in outbox.of(job.id)] == ["job.done"]


def test_a_name_or_an_id_with_a_nul_is_no_error_of_the_database(store):
    folder = store.files.folder("x").parent.parent / "incoming-nul"
    folder.mkdir()
    job, _ = store.add(folder, Submission("a\0b", "upload", Options(), None), "model", 10)
    assert job.name == "a\ufffdb"
    with pytest.raises(Refused, match="no such job"):
        store.get("\0")
    assert store.list_jobs(batch="\0") == []


def test_a_batch_counts_its_jobs(store):
    batches, queue = Batches(store), JobQueue(store.database)
    batch, _ = batches.add([(SENT, "model"), (SENT, "model")], None, None, 10)
    first, _ = batches.jobs(batch.id)
    queue.done(queue.start(first.id, 0), MANIFEST, 1)
    shown = batches.shown(batch)
    assert (shown["progress"], shown["frames"], shown["jobs"]["queued"]) == (0.5, 5, 1)
    json.dumps(shown)
    assert [each.id for each in batches.list_batches(10)] == [batch.id]
    batches.clean_up()


def test_counts_evidence_and_rollout_add_up_over_machines(database, settings):
    for machine in (database, open_database(settings)):
        counters, evidence = Counters(machine), Evidence(machine)
        counters.add("frames", 2)
        counters.flush()
        evidence.add("candidate", "video", 3, 1)
        evidence.flush()
        Rollout(machine, counters).beat("replica")
    assert [(name, value) for name, _, value in Counters(database).all()] == [("frames", 4.0)]
    assert Evidence(database).units("candidate").tolist() == [[2.0, 6.0, 2.0]]
    rollout = Rollout(database, Counters(database))
    rollout.begin("model")
    rollout.begin("model")
    assert rollout.state().champion == "model"


def hold(settings, file, held):
    with open_database(settings).lock(file) as mine:
        held.put(mine)
        time.sleep(600)


def test_a_job_is_locked_by_one_machine_and_released_when_its_process_dies(store, settings):
    file = store.files.folder(added(store)[0].id) / "lock"
    spawn = multiprocessing.get_context("spawn")
    held = spawn.Queue()
    other = spawn.Process(target=hold, args=(settings, file, held), daemon=True)
    other.start()
    assert held.get(timeout=300)
    with store.database.lock(file) as mine:
        assert not mine
    other.kill()
    other.join()
    until = time.monotonic() + 60
    while True:
        with store.database.lock(file) as mine:
            if mine or time.monotonic() > until:
                break
        time.sleep(0.05)
    assert mine
    with store.lock("gone") as none:
        assert not none


def test_a_replica_whose_lock_was_lost_can_change_nothing_of_a_job_that_another_has_started(store, settings):
    job, _ = added(store)
    queue = JobQueue(store.database)
    with store.lock(job.id) as held:
        assert held
        first = queue.start(job.id, 0)
        with store.database.transaction() as db:  # as when the network is cut
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
        other = JobStore(open_database(settings), JobFiles(settings.jobs_folder))
        with other.lock(job.id) as taken:
            assert taken
            second = JobQueue(other.database).start(job.id, 0)
            assert not queue.update_progress(first, progress(3), 1)
            assert not queue.failed(first, "gave up", 0)
            queue.postpone(first, "gave up", 60.0, counted=True)
            assert store.taken_over(first)
            assert not store.taken_over(second)
            assert JobQueue(other.database).done(second, MANIFEST, 1)


def test_a_database_that_is_away_fails_a_try_and_the_next_one_finds_it(store, postgresql_server):
    added(store)
    postgresql_server.stop()
    try:
        with pytest.raises(DatabaseFailed, match=r"--database|terminat|does not answer"):
            store.counts()
    finally:
        postgresql_server.start()
    assert store.counts() == {"queued": 1}


def test_requests_are_answered_with_503_while_the_database_is_away(settings, postgresql_server):
    prepare(settings, None)
    asked = [
        ("GET", "/v1/jobs"), ("GET", "/v1/model"), ("GET", "/metrics"), ("POST", "/v1/jobs"),
        ("POST", "/v1/model:rollback"), ("DELETE", "/v1/jobs/nothing"),
    ]  # fmt: skip
    with served(settings, replica=False) as server:
        postgresql_server.stop()
        try:
            for method, path in [*asked, ("GET", "/readyz")]:
                answer = server.call(method, path)
                is_problem(answer, 503, "the database of jobs does not answer now")
                assert answer.headers["Retry-After"] == "5"
        finally:
            postgresql_server.start()
        assert server.call("GET", "/v1/jobs").json() == {"jobs": [], "next": None}


def test_only_a_model_makes_the_record_of_a_folder_that_is_not_the_deployment_s(database, settings, tmp_path):
    other = Settings(data=tmp_path / "not mounted", database=settings.database)
    other.data.mkdir()
    with pytest.raises(UserError, match="contains no model yet"):
        prepare_model(other, None)
    assert not list(other.data.iterdir())


def test_what_cannot_be_is_one_line(database, settings, tmp_path):
    elsewhere = settings.model_copy(update={"data": tmp_path / "disk of another machine"})
    with pytest.raises(
        UserError, match=r"is not where the deployment in .* has its files; all machines must share it"
    ):
        open_database(elsewhere)
    other = settings.model_copy(update={"deployment": "another"})
    with pytest.raises(UserError, match="is not where the deployment in"):
        open_database(other)
    with database.transaction() as db:
        db.execute("DROP TABLE notes")
    with pytest.raises(UserError, match=r"not prepared; run `python -m serve\.run --prepare`"):
        open_database(settings)
    nobody = settings.model_copy(update={"database": "postgresql://nobody@127.0.0.1:1/none"})
    with pytest.raises(UserError, match=r"does not answer .*give another --database") as error:
        open_database(nobody)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="--database mysql://x/y: give postgresql://"):
        Settings(data=tmp_path, database="mysql://x/y")
